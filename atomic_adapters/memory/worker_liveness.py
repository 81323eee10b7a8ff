"""Presence in memory."""

import itertools
from typing import Final

from atomic_adapters.memory.tables import Tables

_NUMBERS: Final = itertools.count(1)


class MemoryWorkerLiveness:
    """There from the beginning until `close()`, as if in a process of its own. A `Presence`."""

    def __init__(self, tables: Tables) -> None:
        self._claimants = tables.claimants
        self._enter()

    def worker_id(self) -> int | None:
        return self._number if self._number in self._claimants else None

    def leave(self) -> None:
        self.close()
        self._enter()

    def close(self) -> None:
        self._claimants.discard(self._number)

    def _enter(self) -> None:
        self._number = next(_NUMBERS)
        self._claimants.add(self._number)
