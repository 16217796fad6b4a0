"""How a notice leaves: one contract, one file per kind of channel."""
