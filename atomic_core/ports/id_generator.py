"""Identifiers and secrets."""

from typing import Protocol
from uuid import UUID


class IdGenerator(Protocol):
    def new_id(self) -> UUID:
        """A new id, growing with time so that indexes stay compact."""
        ...

    def new_secret(self) -> str:
        """48 hexadecimal characters from a cryptographic source."""
        ...
