"""The makers' clouds of the town, one file each, speaking what the real ones are known to speak."""
