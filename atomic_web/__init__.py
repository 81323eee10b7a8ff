"""The web layer: the HTTP API under /api/v1. Parses requests, calls use cases, renders JSON."""
