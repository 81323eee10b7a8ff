"""Concurrent calls share one statement."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from atomic_adapters.micro_batching import (
    MAX_BATCH_SIZE,
    BatchedPaymentStore,
    MerchantMicroBatcher,
    MicroBatcher,
    _PendingCall,
)
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup
from processes import wait_until
from support import IDS, build_payment

GUARD_SECONDS = 60


class LeaderInterrupted(Exception):
    pass


class Doubler:
    """Doubles numbers when the test releases it, and records the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.released = threading.Semaphore(0)
        self.error: BaseException | None = None

    def execute(self, calls: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(calls))
        assert self.released.acquire(timeout=GUARD_SECONDS)
        if self.error:
            raise self.error
        return [2 * call for call in calls]


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def batcher(doubler: Doubler) -> MicroBatcher[int, int]:
    return MicroBatcher(doubler.execute, LeaderInterrupted)


def queue_calls(
    batcher: MicroBatcher[int, int], doubler: Doubler, numbers: Sequence[int]
) -> list[Future[int]]:
    """Call with 0, which is executed at once, and then with the others, which wait for it."""
    threads = ThreadPoolExecutor(len(numbers) + 1)
    first = threads.submit(batcher, 0)
    wait_until(lambda: doubler.batches == [[0]], GUARD_SECONDS, "the first call is executed")
    others: list[Future[int]] = []
    for queue_length, number in enumerate(numbers, 1):
        others.append(threads.submit(batcher, number))
        wait_until(
            lambda length=queue_length: len(batcher._queue) == length,
            GUARD_SECONDS,
            "the call is queued",
        )
    threads.shutdown(wait=False)
    return [first, *others]


def test_single_call_is_executed_at_once(batcher: MicroBatcher[int, int], doubler: Doubler) -> None:
    doubler.released.release()
    assert batcher(21) == 42
    assert doubler.batches == [[21]]


def test_calls_during_a_batch_form_the_next_batch(
    batcher: MicroBatcher[int, int], doubler: Doubler
) -> None:
    futures = queue_calls(batcher, doubler, [1, 2, 3])
    doubler.released.release(2)
    assert [future.result(GUARD_SECONDS) for future in futures] == [0, 2, 4, 6]
    assert doubler.batches == [[0], [1, 2, 3]]


def test_batch_size_is_limited(batcher: MicroBatcher[int, int], doubler: Doubler) -> None:
    numbers = list(range(1, MAX_BATCH_SIZE + 4))
    futures = queue_calls(batcher, doubler, numbers)
    doubler.released.release(3)
    assert [future.result(GUARD_SECONDS) for future in futures[1:]] == [2 * n for n in numbers]
    assert [len(batch) for batch in doubler.batches] == [1, MAX_BATCH_SIZE, 3]


def test_error_is_raised_to_every_call_of_its_batch_only(
    batcher: MicroBatcher[int, int], doubler: Doubler
) -> None:
    doubler.error = StorageUnavailable()
    futures = queue_calls(batcher, doubler, [1, 2])
    doubler.released.release()
    with pytest.raises(StorageUnavailable):
        futures[0].result(GUARD_SECONDS)
    wait_until(lambda: len(doubler.batches) == 2, GUARD_SECONDS, "the next batch is executed")
    doubler.error = None
    doubler.released.release()
    assert [future.result(GUARD_SECONDS) for future in futures[1:]] == [2, 4]


def test_wrong_number_of_results_raises(doubler: Doubler) -> None:
    with pytest.raises(ValueError, match="zip"):
        MicroBatcher[int, int](lambda _calls: [], LeaderInterrupted)(1)


def test_interrupted_leader_raises_to_its_batch(
    batcher: MicroBatcher[int, int], doubler: Doubler
) -> None:
    futures = queue_calls(batcher, doubler, [1, 2])
    doubler.released.release()
    assert futures[0].result(GUARD_SECONDS) == 0
    wait_until(lambda: len(doubler.batches) == 2, GUARD_SECONDS, "the next batch is executed")
    doubler.error = KeyboardInterrupt()
    doubler.released.release()
    with pytest.raises(KeyboardInterrupt):
        futures[1].result(GUARD_SECONDS)
    with pytest.raises(LeaderInterrupted):
        futures[2].result(GUARD_SECONDS)
    doubler.error = None
    doubler.released.release()
    assert batcher(4) == 8


class InterruptedLock:
    """A lock whose wait is interrupted, as by a time-out that is raised in a greenlet."""

    def __init__(self, before_interrupt: Callable[[], object]) -> None:
        self.before_interrupt = before_interrupt

    def acquire(self) -> None:
        self.before_interrupt()
        raise KeyboardInterrupt

    def release(self) -> None:
        return


@pytest.mark.parametrize("is_turn_passed_on", [False, True])
def test_interrupted_waiting_call_blocks_no_other(
    batcher: MicroBatcher[int, int],
    doubler: Doubler,
    monkeypatch: pytest.MonkeyPatch,
    is_turn_passed_on: bool,
) -> None:
    [first] = queue_calls(batcher, doubler, [])

    def before_interrupt() -> None:
        if is_turn_passed_on:
            doubler.released.release()
            first.result(GUARD_SECONDS)

    def create_interrupted_call(call: int) -> _PendingCall[int, int]:
        pending_call = _PendingCall[int, int](call)
        pending_call.wake_up = InterruptedLock(before_interrupt)  # type: ignore[assignment]
        return pending_call

    with monkeypatch.context() as patched:
        patched.setattr(MicroBatcher, "_create_pending_call", staticmethod(create_interrupted_call))
        with pytest.raises(KeyboardInterrupt):
            batcher(1)
    doubler.released.release(2)
    assert batcher(2) == 4
    assert [1] not in doubler.batches


def test_concurrent_calls_each_get_their_own_result(doubler: Doubler) -> None:
    batcher = MicroBatcher[int, int](lambda calls: [2 * call for call in calls], LeaderInterrupted)
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(batcher, range(2_000))) == [2 * n for n in range(2_000)]


class RecordingPaymentStore:
    """Records the sizes of its batches; inserts nothing."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        self.calls.append(len(inserts))
        return [None] * len(inserts)

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        raise StorageUnavailable


def test_batched_store_returns_what_its_store_returns() -> None:
    payment_store = RecordingPaymentStore()
    merchant_id = IDS.new_id()
    insert = PaymentInsert(IDS.new_id(), build_payment(merchant_id))
    assert BatchedPaymentStore(payment_store).insert([insert, insert]) == [None, None]
    assert payment_store.calls == [1, 1]
    with pytest.raises(StorageUnavailable):
        BatchedPaymentStore(payment_store).find([PaymentLookup(merchant_id, IDS.new_id())])


def test_calls_of_a_merchant_share_batches_and_those_of_others_do_not_wait(
    doubler: Doubler,
) -> None:
    batcher = MerchantMicroBatcher(doubler.execute)
    first, second = IDS.new_id(), IDS.new_id()
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(batcher, first, 0)]
        wait_until(lambda: doubler.batches == [[0]], GUARD_SECONDS, "the first call is executed")
        calls += [threads.submit(batcher, first, number) for number in (1, 2)]
        wait_until(
            lambda: len(batcher._batchers[first].batcher._queue) == 2,
            GUARD_SECONDS,
            "the calls of the merchant are queued",
        )
        calls.append(threads.submit(batcher, second, 3))
        wait_until(lambda: [3] in doubler.batches, GUARD_SECONDS, "another merchant's is executed")
        doubler.released.release(3)
        assert [call.result(GUARD_SECONDS) for call in calls] == [0, 2, 4, 6]
    assert [sorted(batch) for batch in doubler.batches] == [[0], [3], [1, 2]]
    assert batcher._batchers == {}
