"""Everything that works without a key, a download or a network."""
