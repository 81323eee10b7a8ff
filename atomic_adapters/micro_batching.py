"""Serving together those who ask at the same moment.

While one call to a slow place is under way, those who come meanwhile wait for each other, and
the next call serves them all: under load a round trip and a commit are shared by many, and
nobody waits when nobody else is there.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Lookup, Payment, PaymentInsert
from atomic_core.ports.payment_store import PaymentStore

MAX_BATCH_SIZE: Final = 64
"""Calls served by one. More gain little and make all wait for the work of all."""

Ask = TypeVar("Ask")
Tell = TypeVar("Tell")


@dataclass(slots=True, eq=False)
class _PendingCall(Generic[Ask, Tell]):
    """One caller in the queue."""

    ask: Ask
    called: threading.Lock = field(default_factory=threading.Lock)
    leads: bool = False
    """Whether it is this caller's turn to serve all who wait, itself first."""
    tell: Tell | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.called.acquire()


class MicroBatcher(Generic[Ask, Tell]):
    """A function of many asks, called by one at a time with all that wait.

    `serve` returns as many tells as it is given asks, in order; what it raises is raised to each
    of the callers it served. One of them runs it, so nothing runs in the background and a
    process may be forked before the first use. Should that one be cut off meanwhile, the others
    get `abandoned`.
    """

    def __init__(
        self, serve: Callable[[Sequence[Ask]], Sequence[Tell]], abandoned: type[Exception]
    ) -> None:
        self._serve = serve
        self._abandoned = abandoned
        self._lock = threading.Lock()
        self._waiting: list[_PendingCall[Ask, Tell]] = []
        self._busy = False

    def __call__(self, ask: Ask) -> Tell:
        place = self._place(ask)
        with self._lock:
            place.leads = not self._busy
            self._busy = True
            if not place.leads:
                self._waiting.append(place)
        if not place.leads:
            self._wait(place)
        if place.leads:
            self._lead(place)
        if place.error is not None:
            raise place.error
        return place.tell  # type: ignore[return-value]

    def _place(self, ask: Ask) -> _PendingCall[Ask, Tell]:
        return _PendingCall(ask)

    def _wait(self, place: _PendingCall[Ask, Tell]) -> None:
        try:
            place.called.acquire()
        except BaseException:
            # Cut off while waiting (a time-out thrown into a greenlet). A turn must be passed
            # on, or all who come after would wait for ever.
            with self._lock:
                if place in self._waiting:
                    self._waiting.remove(place)
            if place.leads:
                self._pass_on()
            raise

    def _lead(self, first: _PendingCall[Ask, Tell]) -> None:
        with self._lock:
            others = self._waiting[: MAX_BATCH_SIZE - 1]
            del self._waiting[: len(others)]
        group = [first, *others]
        try:
            tells = self._serve([place.ask for place in group])
            for place, tell in zip(group, tells, strict=True):
                place.tell = tell
        except Exception as error:  # noqa: BLE001  each caller raises it
            for place in group:
                place.error = error
        except BaseException:
            for place in others:
                place.error = self._abandoned()
            raise
        finally:
            self._pass_on()
            for place in others:
                place.called.release()

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._busy = False
                return
            following = self._waiting.pop(0)
            following.leads = True
        following.called.release()


class BatchedPaymentStore:
    """A desk whose callers are served together."""

    def __init__(self, payment_store: PaymentStore) -> None:
        self._accept = MicroBatcher[PaymentInsert, InsertedPayment | None](
            payment_store.accept, StorageUnavailable
        )
        self._find = MicroBatcher[Lookup, Payment | None](payment_store.find, StorageUnavailable)

    def accept(self, acceptances: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        return [self._accept(acceptance) for acceptance in acceptances]

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        return [self._find(lookup) for lookup in lookups]
