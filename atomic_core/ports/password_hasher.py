"""Hashing of passwords."""

from typing import Protocol


class PasswordHasher(Protocol):
    """A slow password hash. The number of concurrent hashes per process is limited; a call that
    waits too long for its turn raises HasherBusy. Do not call it inside a unit of work."""

    @property
    def dummy_hash(self) -> str:
        """A hash that no password matches, with the current parameters. Verifying against it
        makes an unknown email cost as much time as a known one."""
        ...

    def hash(self, password: str) -> str:
        """The encoded hash, with its salt and parameters."""
        ...

    def verify(self, encoded: str, password: str) -> bool: ...

    def is_outdated(self, encoded: str) -> bool:
        """Whether it was made with other than the current parameters."""
        ...
