"""What several endpoints read of one stream, read and rendered once.

The endpoints of a merchant mostly are at the same position, and an event never changes.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from uuid import UUID

from atomic_core.domain.event_documents import render_event
from atomic_core.domain.events import EventFilter, StreamEvent
from atomic_core.ports.unit_of_work import UnitOfWork

MAX_WINDOWS: Final = 32
"""Of up to MAX_ROUND_EVENTS each."""

MAX_BODIES: Final = 1_000

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _RecentValues(Generic[Key, Value]):
    """The values that were computed last. Concurrent callers of one key share one computation, and
    its error, which is not kept."""

    limit: int
    _values: dict[Key, Future[Value]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Key, compute: Callable[[], Value]) -> Value:
        with self._lock:
            future = self._values.get(key)
            is_new = future is None
            if future is None:
                future = self._values[key] = Future()
                if len(self._values) > self.limit:
                    del self._values[next(iter(self._values))]
        if not is_new:
            return future.result()
        try:
            value = compute()
        except BaseException as error:
            with self._lock:
                self._values.pop(key, None)
            future.set_exception(error)
            raise
        future.set_result(value)
        return value


@dataclass(slots=True)
class StreamWindows:
    """Used by the rounds of one process at once."""

    _windows: _RecentValues[tuple[UUID, EventFilter, int], Sequence[StreamEvent]] = field(
        default_factory=lambda: _RecentValues(MAX_WINDOWS)
    )
    _bodies: _RecentValues[UUID, bytes] = field(default_factory=lambda: _RecentValues(MAX_BODIES))

    def read(
        self, work: UnitOfWork, merchant_id: UUID, filters: EventFilter, limit: int
    ) -> Sequence[StreamEvent]:
        """Oldest first. The window must end where the stream has arrived: what it holds then never
        changes."""
        return self._windows.get(
            (merchant_id, filters, limit),
            lambda: work.events.list_stream(merchant_id, filters, limit, is_oldest_first=True),
        )

    def render(self, event: StreamEvent) -> bytes:
        """The body of a webhook."""
        return self._bodies.get(event.id, lambda: render_event(event))
