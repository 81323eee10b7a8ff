"""A cache of API keys by hash."""

from typing import Protocol

from atomic_core.domain.merchants import Caller


class ApiKeyCache(Protocol):
    """An in-process cache of the owner and scopes of API keys. Both are immutable, so entries
    never go stale; an entry does not say that the key is still active."""

    def get(self, hash: bytes) -> Caller | None:
        """The owner and scopes of the key with this hash, if they are cached."""
        ...

    def put(self, hash: bytes, caller: Caller) -> None:
        """Cache the owner and scopes of an active key. Evicts other entries when the cache is
        full."""
        ...
