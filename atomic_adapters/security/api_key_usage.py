"""When API keys were last used: told to the store now and then, by nobody who has to wait."""

import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog

from atomic_core.domain.errors import AtomicError
from atomic_core.ports.unit_of_work import Begin

WRITE_INTERVAL_SECONDS: Final = 60.0
"""Between two writes for one key of one process. Whoever asks when a key was last used thinks in
days."""

BATCH_WINDOW_SECONDS: Final = 1.0
"""Those used within this time share a statement."""

MAX_RECENT_KEYS: Final = 10_000
"""Keys remembered as noted already. One beyond it is written more often, which is no harm."""

_log = structlog.get_logger(__name__)


class BackgroundApiKeyUsage:
    """A `ApiKeyUsage` port that writes in a thread of its own."""

    def __init__(self, begin: Begin, pause: float = BATCH_WINDOW_SECONDS) -> None:
        self._begin = begin
        self._pause = pause
        self._noted: OrderedDict[UUID, float] = OrderedDict()
        self._fresh: set[UUID] = set()
        self._called = threading.Condition()
        self._writer: threading.Thread | None = None

    def note(self, key_id: UUID) -> None:
        now = time.monotonic()
        # Without the lock: the usual answer is that there is nothing to do.
        if now < self._noted.get(key_id, float("-inf")) + WRITE_INTERVAL_SECONDS:
            return
        with self._called:
            self._noted[key_id] = now
            self._noted.move_to_end(key_id)
            if len(self._noted) > MAX_RECENT_KEYS:
                self._noted.popitem(last=False)
            self._fresh.add(key_id)
            if self._writer is None or not self._writer.is_alive():
                # Now, not when we were made: a thread does not survive a fork.
                self._writer = threading.Thread(target=self._run, name="key-uses", daemon=True)
                self._writer.start()
            self._called.notify()

    def _run(self) -> None:
        while True:
            with self._called:
                self._called.wait_for(lambda: self._fresh)
            time.sleep(self._pause)
            with self._called:
                fresh, self._fresh = self._fresh, set()
            self._write(fresh)

    def _write(self, fresh: set[UUID]) -> None:
        try:
            with self._begin() as work:
                work.merchants.record_api_key_usage(sorted(fresh))
                work.commit()
        except AtomicError as error:
            # No harm: the next use is a minute away at most.
            _log.debug("key uses not noted", problem=error.message)


class DirectApiKeyUsage:
    """A `ApiKeyUsage` port that writes at once, each time: for stores in memory."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def note(self, key_id: UUID) -> None:
        with suppress(AtomicError), self._begin() as work:
            work.merchants.record_api_key_usage([key_id])
            work.commit()
