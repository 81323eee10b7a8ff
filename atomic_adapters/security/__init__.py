"""Adapters for secrets: password hashing, the API key cache, API key usage."""
