"""Worker liveness in memory."""

import itertools
from typing import Final

from atomic_adapters.memory.tables import Tables

_WORKER_IDS: Final = itertools.count(1)


class MemoryWorkerLiveness:
    """A `WorkerLiveness` port. Registered until `close()`, as if in its own process."""

    def __init__(self, tables: Tables) -> None:
        self._live_workers = tables.live_workers
        self._register()

    def worker_id(self) -> int | None:
        return self._worker_id if self._worker_id in self._live_workers else None

    def deregister(self) -> None:
        self.close()
        self._register()

    def close(self) -> None:
        self._live_workers.discard(self._worker_id)

    def _register(self) -> None:
        self._worker_id = next(_WORKER_IDS)
        self._live_workers.add(self._worker_id)
