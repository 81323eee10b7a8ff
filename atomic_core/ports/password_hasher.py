"""Hashing of passwords."""

from typing import Protocol


class PasswordHasher(Protocol):
    """A slow hash, of passwords. Bounded: so many at once in a process, and whoever would wait too
    long for their turn gets HasherBusy. Meanwhile others are served; never call it inside a unit
    of work."""

    @property
    def dummy_hash(self) -> str:
        """The hash of no password, at the present parameters: to spend on an unknown name what a
        known one would have cost."""
        ...

    def hash(self, password: str) -> str:
        """Encoded, with its salt and parameters."""
        ...

    def verify(self, encoded: str, password: str) -> bool: ...

    def is_outdated(self, encoded: str) -> bool:
        """Whether it was made with other parameters than are used today."""
        ...
