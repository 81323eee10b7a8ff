"""A cache of API keys by hash."""

from typing import Protocol

from atomic_core.domain.merchants import Caller


class ApiKeyCache(Protocol):
    """A process's own memory of whose keys it has met, and what they may do. Neither ever changes,
    so what is remembered stays true; it does not say that a key is still active."""

    def get(self, hash: bytes) -> Caller | None:
        """Whose key has this hash, if it is remembered."""
        ...

    def put(self, hash: bytes, caller: Caller) -> None:
        """Remember the owner of a key that was found active. Forgets others to stay small."""
        ...
