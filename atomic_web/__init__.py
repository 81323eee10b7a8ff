"""The web door: HTTP in, use cases called, JSON out. Everything under /api/v1."""
