"""Cameras: what they see is recorded, proven to be live, kept sealed, and forgotten."""
