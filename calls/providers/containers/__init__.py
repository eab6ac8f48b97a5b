"""Sound that strangers send as files, decoded in processes that have nothing to lose."""
