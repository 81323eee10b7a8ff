"""Identifiers and secrets."""

from typing import Protocol
from uuid import UUID


class IdGenerator(Protocol):
    def new_id(self) -> UUID:
        """A new UUID that grows with time (version 7), so that indexes stay compact."""
        ...

    def new_secret(self) -> str:
        """48 hexadecimal characters from a cryptographic source."""
        ...
