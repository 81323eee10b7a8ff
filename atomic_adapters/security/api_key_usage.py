"""Records when API keys were last used, outside the request path."""

import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog

from atomic_core.domain.errors import AtomicError
from atomic_core.ports.unit_of_work import UnitOfWorkFactory

WRITE_INTERVAL_SECONDS: Final = 60.0
"""Between two writes for one key by one process. `last_used_at` is read in terms of days: a minute
is exact enough."""

BATCH_WINDOW_SECONDS: Final = 1.0
"""Keys used within one second share a statement."""

MAX_RECENT_KEYS: Final = 10_000
"""Recently written keys to remember. An evicted key is only written more often than needed."""

_log = structlog.get_logger(__name__)


class BackgroundApiKeyUsage:
    """An `ApiKeyUsage` port that writes from a background thread."""

    def __init__(self, begin: UnitOfWorkFactory, pause: float = BATCH_WINDOW_SECONDS) -> None:
        self._begin = begin
        self._pause = pause
        self._last_writes: OrderedDict[UUID, float] = OrderedDict()
        self._pending: set[UUID] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def record_use(self, key_id: UUID) -> None:
        now = time.monotonic()
        # Without the lock: for most uses there is nothing to do.
        if now < self._last_writes.get(key_id, float("-inf")) + WRITE_INTERVAL_SECONDS:
            return
        with self._condition:
            self._last_writes[key_id] = now
            self._last_writes.move_to_end(key_id)
            if len(self._last_writes) > MAX_RECENT_KEYS:
                self._last_writes.popitem(last=False)
            self._pending.add(key_id)
            if self._thread is None or not self._thread.is_alive():
                # Started here, not in __init__: threads do not survive a fork.
                self._thread = threading.Thread(target=self._run, name="api-key-usage", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending)
            time.sleep(self._pause)
            with self._condition:
                key_ids, self._pending = self._pending, set()
            self._write(key_ids)

    def _write(self, key_ids: set[UUID]) -> None:
        try:
            with self._begin() as work:
                work.merchants.record_api_key_usage(sorted(key_ids))
                work.commit()
        except AtomicError as error:
            # Tolerable: a key in use is written again within a minute.
            _log.debug("API key usage not recorded", problem=error.message)


class DirectApiKeyUsage:
    """An `ApiKeyUsage` port that writes every use at once: for stores in memory."""

    def __init__(self, begin: UnitOfWorkFactory) -> None:
        self._begin = begin

    def record_use(self, key_id: UUID) -> None:
        with suppress(AtomicError), self._begin() as work:
            work.merchants.record_api_key_usage([key_id])
            work.commit()
