"""Hashing of API keys and session tokens."""

from typing import Protocol


class KeyHasher(Protocol):
    def hash(self, raw_key: str) -> bytes:
        """A one-way hash of 32 bytes."""
        ...
