"""The HTTP API: who asks, what they may, and the answers as JSON."""
