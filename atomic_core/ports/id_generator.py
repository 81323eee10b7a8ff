"""Identifiers and secrets."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class IdGenerator(Protocol):
    def new_id(self) -> UUID:
        """A new UUID that grows with time (version 7), so that indexes stay compact."""
        ...

    def new_ids(self, count: int) -> Sequence[UUID]:
        """As many calls of `new_id` do, in less time."""
        ...

    def new_secret(self) -> str:
        """48 hexadecimal characters from a cryptographic source."""
        ...
