"""Serving together those who ask at the same moment."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from atomic_adapters.micro_batching import (
    MAX_BATCH,
    BatchedPaymentStore,
    MicroBatcher,
    _PendingCall,
)
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import InsertedPayment, Lookup, Payment, PaymentInsert
from processes import eventually
from support import IDS, order

PATIENCE_SECONDS = 10


class Abandoned(Exception):
    pass


class Counter:
    """Doubles numbers, when it is let; remembers who was served together."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.let = threading.Semaphore(0)
        self.error: BaseException | None = None

    def serve(self, asks: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(asks))
        assert self.let.acquire(timeout=PATIENCE_SECONDS)
        if self.error:
            raise self.error
        return [2 * ask for ask in asks]


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def together(counter: Counter) -> MicroBatcher[int, int]:
    return MicroBatcher(counter.serve, Abandoned)


def ask_behind(
    together: MicroBatcher[int, int], counter: Counter, numbers: Sequence[int]
) -> list[Future[int]]:
    """Ask 0, which is served at once, and then the others, who have to wait for it."""
    threads = ThreadPoolExecutor(len(numbers) + 1)
    first = threads.submit(together, 0)
    eventually(lambda: counter.groups == [[0]], PATIENCE_SECONDS, "the first is being served")
    others: list[Future[int]] = []
    for place, number in enumerate(numbers, 1):
        others.append(threads.submit(together, number))
        eventually(
            lambda place=place: len(together._waiting) == place, PATIENCE_SECONDS, "they queue"
        )
    threads.shutdown(wait=False)
    return [first, *others]


def test_one_alone_is_served_at_once(together: MicroBatcher[int, int], counter: Counter) -> None:
    counter.let.release()
    assert together(21) == 42
    assert counter.groups == [[21]]


def test_who_comes_meanwhile_is_served_together_next(
    together: MicroBatcher[int, int], counter: Counter
) -> None:
    asked = ask_behind(together, counter, [1, 2, 3])
    counter.let.release(2)
    assert [each.result(PATIENCE_SECONDS) for each in asked] == [0, 2, 4, 6]
    assert counter.groups == [[0], [1, 2, 3]]


def test_no_group_is_larger_than_its_limit(
    together: MicroBatcher[int, int], counter: Counter
) -> None:
    numbers = list(range(1, MAX_BATCH + 4))
    asked = ask_behind(together, counter, numbers)
    counter.let.release(3)
    assert [each.result(PATIENCE_SECONDS) for each in asked[1:]] == [2 * n for n in numbers]
    assert [len(group) for group in counter.groups] == [1, MAX_BATCH, 3]


def test_an_error_is_told_to_all_it_struck_and_to_nobody_else(
    together: MicroBatcher[int, int], counter: Counter
) -> None:
    counter.error = StorageUnavailable()
    asked = ask_behind(together, counter, [1, 2])
    counter.let.release()
    with pytest.raises(StorageUnavailable):
        asked[0].result(PATIENCE_SECONDS)
    eventually(lambda: len(counter.groups) == 2, PATIENCE_SECONDS, "the next are being served")
    counter.error = None
    counter.let.release()
    assert [each.result(PATIENCE_SECONDS) for each in asked[1:]] == [2, 4]


def test_a_server_that_loses_count_is_an_error(counter: Counter) -> None:
    with pytest.raises(ValueError, match="zip"):
        MicroBatcher[int, int](lambda _asks: [], Abandoned)(1)


def test_when_the_one_who_serves_is_cut_off_the_others_are_told(
    together: MicroBatcher[int, int], counter: Counter
) -> None:
    asked = ask_behind(together, counter, [1, 2])
    counter.let.release()
    assert asked[0].result(PATIENCE_SECONDS) == 0
    eventually(lambda: len(counter.groups) == 2, PATIENCE_SECONDS, "the next are being served")
    counter.error = KeyboardInterrupt()
    counter.let.release()
    with pytest.raises(KeyboardInterrupt):
        asked[1].result(PATIENCE_SECONDS)
    with pytest.raises(Abandoned):
        asked[2].result(PATIENCE_SECONDS)
    counter.error = None
    counter.let.release()
    assert together(4) == 8


class CutOff:
    """A lock whose wait is cut short, as a time-out thrown into a greenlet would."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    def acquire(self) -> None:
        self.meanwhile()
        raise KeyboardInterrupt

    def release(self) -> None:
        return


@pytest.mark.parametrize("turn_has_come", [False, True])
def test_one_who_is_cut_off_while_waiting_holds_nobody_up(
    together: MicroBatcher[int, int],
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    turn_has_come: bool,
) -> None:
    [first] = ask_behind(together, counter, [])

    def meanwhile() -> None:
        if turn_has_come:
            counter.let.release()
            first.result(PATIENCE_SECONDS)

    def place(ask: int) -> _PendingCall[int, int]:
        made = _PendingCall[int, int](ask)
        made.called = CutOff(meanwhile)  # type: ignore[assignment]
        return made

    with monkeypatch.context() as patched:
        patched.setattr(MicroBatcher, "_place", staticmethod(place))
        with pytest.raises(KeyboardInterrupt):
            together(1)
    counter.let.release(2)
    assert together(2) == 4
    assert [1] not in counter.groups


def test_many_at_once_each_get_their_own_answer(counter: Counter) -> None:
    together = MicroBatcher[int, int](lambda asks: [2 * ask for ask in asks], Abandoned)
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(together, range(2_000))) == [2 * n for n in range(2_000)]


class PaymentStore:
    """Serves what it is asked; remembers how."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def accept(self, acceptances: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        self.calls.append(len(acceptances))
        return [None] * len(acceptances)

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        raise StorageUnavailable


def test_a_shared_desk_does_what_the_desk_behind_it_does() -> None:
    payment_store = PaymentStore()
    merchant_id = IDS.new_id()
    acceptance = PaymentInsert(IDS.new_id(), order(merchant_id))
    assert BatchedPaymentStore(payment_store).accept([acceptance, acceptance]) == [None, None]
    assert payment_store.calls == [1, 1]
    with pytest.raises(StorageUnavailable):
        BatchedPaymentStore(payment_store).find([Lookup(merchant_id, IDS.new_id())])
