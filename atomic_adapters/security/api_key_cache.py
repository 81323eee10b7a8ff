"""An LRU cache of API keys, one per process."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from atomic_core.domain.merchants import Caller

MAX_KEYS: Final = 10_000
"""About 3 MB per process. The next request with an evicted key costs one look-up."""


@dataclass(frozen=True, slots=True)
class LruApiKeyCache:
    """An `ApiKeyCache` port. Keyed by hash: no raw key is stored anywhere."""

    limit: int = MAX_KEYS
    _callers: OrderedDict[bytes, Caller] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, hash: bytes) -> Caller | None:
        with self._lock:
            caller = self._callers.get(hash)
            if caller is not None:
                self._callers.move_to_end(hash)
            return caller

    def put(self, hash: bytes, caller: Caller) -> None:
        with self._lock:
            self._callers[hash] = caller
            self._callers.move_to_end(hash)
            if len(self._callers) > self.limit:
                self._callers.popitem(last=False)
