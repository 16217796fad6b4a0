"""One file per kind of channel."""
