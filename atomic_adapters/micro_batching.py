"""Micro-batching: concurrent calls share one call of a slow function.

While a batch executes, new calls queue; the next batch serves all of them. Under load many calls
share a round trip and a commit; a call that finds no other executes at once.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from uuid import UUID

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup
from atomic_core.ports.payment_store import PaymentStore

MAX_BATCH_SIZE: Final = 64
"""Calls in one batch. A larger batch saves little and delays every call in it."""

Call = TypeVar("Call")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _PendingCall(Generic[Call, Result]):
    call: Call
    wake_up: threading.Lock = field(default_factory=threading.Lock)
    """Held until the call has a result, or must execute the next batch."""
    is_leader: bool = False
    """Whether this call's thread executes the next batch, its own call first."""
    result: Result | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.wake_up.acquire()


class MicroBatcher(Generic[Call, Result]):
    """Runs `execute` for one batch of concurrent calls at a time.

    `execute` returns one result per call, in order; an error it raises is raised to every caller
    of the batch. A caller's own thread executes the batch: there is no background thread, so the
    process may fork before the first call. If that thread is interrupted (by a time-out, for
    example), the other callers of its batch get an `interrupted` error.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[Call]], Sequence[Result]],
        interrupted: type[Exception],
    ) -> None:
        self._execute = execute
        self._interrupted = interrupted
        self._lock = threading.Lock()
        self._queue: list[_PendingCall[Call, Result]] = []
        self._is_busy = False

    def __call__(self, call: Call) -> Result:
        pending = self._create_pending_call(call)
        with self._lock:
            pending.is_leader = not self._is_busy
            self._is_busy = True
            if not pending.is_leader:
                self._queue.append(pending)
        if not pending.is_leader:
            self._wait(pending)
        if pending.is_leader:
            self._execute_batch(pending)
        if pending.error is not None:
            raise pending.error
        return pending.result  # type: ignore[return-value]

    def _create_pending_call(self, call: Call) -> _PendingCall[Call, Result]:
        return _PendingCall(call)

    def _wait(self, pending: _PendingCall[Call, Result]) -> None:
        try:
            pending.wake_up.acquire()
        except BaseException:
            # Interrupted while waiting (a time-out raised in a greenlet). If this call was to
            # execute the next batch, another must, or the queue would stall.
            with self._lock:
                if pending in self._queue:
                    self._queue.remove(pending)
            if pending.is_leader:
                self._start_next_batch()
            raise

    def _execute_batch(self, leader: _PendingCall[Call, Result]) -> None:
        with self._lock:
            others = self._queue[: MAX_BATCH_SIZE - 1]
            del self._queue[: len(others)]
        batch = [leader, *others]
        try:
            results = self._execute([pending.call for pending in batch])
            for pending, result in zip(batch, results, strict=True):
                pending.result = result
        except Exception as error:  # noqa: BLE001  each caller raises it
            for pending in batch:
                pending.error = error
        except BaseException:
            for pending in others:
                pending.error = self._interrupted()
            raise
        finally:
            self._start_next_batch()
            for pending in others:
                pending.wake_up.release()

    def _start_next_batch(self) -> None:
        with self._lock:
            if not self._queue:
                self._is_busy = False
                return
            leader = self._queue.pop(0)
            leader.is_leader = True
        leader.wake_up.release()


@dataclass(slots=True)
class _KeyBatcher(Generic[Call, Result]):
    batcher: MicroBatcher[Call, Result]
    callers: int = 0


class MerchantMicroBatcher(Generic[Call, Result]):
    """A MicroBatcher for each merchant: calls of different merchants neither share a batch nor wait
    for each other. It exists while the merchant has calls, so their number is bounded."""

    def __init__(self, execute: Callable[[Sequence[Call]], Sequence[Result]]) -> None:
        self._execute = execute
        self._lock = threading.Lock()
        self._batchers: dict[UUID, _KeyBatcher[Call, Result]] = {}

    def __call__(self, merchant_id: UUID, call: Call) -> Result:
        with self._lock:
            entry = self._batchers.get(merchant_id)
            if entry is None:
                entry = _KeyBatcher(MicroBatcher[Call, Result](self._execute, StorageUnavailable))
                self._batchers[merchant_id] = entry
            entry.callers += 1
        try:
            return entry.batcher(call)
        finally:
            with self._lock:
                entry.callers -= 1
                if not entry.callers:
                    del self._batchers[merchant_id]


class BatchedPaymentStore:
    """A `PaymentStore` port whose concurrent calls are micro-batched."""

    def __init__(self, payment_store: PaymentStore) -> None:
        self._accept = MicroBatcher[PaymentInsert, InsertedPayment | None](
            payment_store.insert, StorageUnavailable
        )
        self._find = MicroBatcher[PaymentLookup, Payment | None](
            payment_store.find, StorageUnavailable
        )

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        return [self._accept(insert) for insert in inserts]

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        return [self._find(lookup) for lookup in lookups]
