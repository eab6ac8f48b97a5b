"""The call in pages: this server's own, and frames in those of sites."""
