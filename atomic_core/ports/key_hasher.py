"""Hashing of API keys and session tokens."""

from typing import Protocol


class KeyHasher(Protocol):
    def hash(self, raw_key: str) -> bytes:
        """32 bytes from which the key cannot be found again."""
        ...
