"""A bulkhead: the requests of one merchant cannot hold every database connection of a process.

A unit of work holds a connection while it waits for a lock or reads many rows. Without a bound,
one merchant's concurrent requests (repeats of a key that is in use, captures of one payment,
dashboards) take the whole pool, and all others wait for it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory

CURRENT_MERCHANT: Final[ContextVar[UUID | None]] = ContextVar(
    "atomic_current_merchant", default=None
)
"""The merchant that the current request acts for. Not set by workers and commands, which are not
limited."""

POOL_SHARE: Final = 4
"""A merchant has this fraction of a process's connections at most: four merchants must misuse the
API at once before others wait."""

WAIT_SECONDS: Final = 2.0
"""How long a request waits for its merchant's other requests: as long as it would for a
connection."""

MAX_WAITING: Final = 200
"""Requests of one merchant that wait: a fifth of a process's client connections by default, which
they occupy meanwhile."""

_BUSY: Final = "Too many requests of this merchant wait for the database; send fewer at once."


@dataclass(slots=True)
class _Slots:
    semaphore: threading.Semaphore
    requests: int = 0
    """Open or waiting."""


@dataclass(slots=True)
class MerchantBulkhead:
    """A `UnitOfWorkFactory` port that limits the units of work which are open at once for one
    merchant. Raises StorageUnavailable if too many wait, or one waits too long."""

    begin: UnitOfWorkFactory
    max_open: int
    max_waiting: int = MAX_WAITING
    wait_seconds: float = WAIT_SECONDS
    _slots_by_merchant: dict[UUID, _Slots] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def __call__(self) -> Iterator[UnitOfWork]:
        merchant_id = CURRENT_MERCHANT.get()
        if merchant_id is None:
            with self.begin() as work:
                yield work
            return
        with self._enter(merchant_id), self.begin() as work:
            yield work

    @contextmanager
    def _enter(self, merchant_id: UUID) -> Iterator[None]:
        with self._lock:
            slots = self._slots_by_merchant.get(merchant_id)
            if slots is None:
                slots = _Slots(threading.Semaphore(self.max_open))
                self._slots_by_merchant[merchant_id] = slots
            if slots.requests >= self.max_open + self.max_waiting:
                raise StorageUnavailable(_BUSY)
            slots.requests += 1
        try:
            if not slots.semaphore.acquire(timeout=self.wait_seconds):
                raise StorageUnavailable(_BUSY)
            try:
                yield
            finally:
                slots.semaphore.release()
        finally:
            with self._lock:
                slots.requests -= 1
                if not slots.requests:
                    del self._slots_by_merchant[merchant_id]
