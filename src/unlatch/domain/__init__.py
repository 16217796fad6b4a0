"""The words and rules of delivering into a locked place. Pure: no I/O, no clock, no randomness."""
