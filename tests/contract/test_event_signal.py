"""Waiting for events, and reading them by many callers at once, on both stores."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from atomic_adapters import event_signal
from atomic_adapters.bulkhead import CURRENT_MERCHANT
from atomic_adapters.event_reader import BatchedEventReader
from atomic_adapters.event_signal import PollingEventSignal
from atomic_core.domain.errors import StorageUnavailable, TooManyWaiting, WaitingPlacesTaken
from atomic_core.domain.events import Event, EventFilter, EventType, StreamEvent, StreamRead
from atomic_core.domain.payments import Status
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from processes import wait_until
from support import (
    IDS,
    Store,
    add_merchant,
    build_application,
    build_payment,
    run_concurrently,
)

SECONDS = 20.0
"""Longer than it takes until a wait has ended. Only guards against a hang."""

WAIT = 60.0
"""Seconds of a wait that is not to end by itself."""

MERCHANT_SHARE, PROCESS_SHARE = 3, 6
"""Of ten connections."""


@dataclass
class CountingBegin:
    """Counts units of work, and refuses them while the storage is unavailable."""

    begin: UnitOfWorkFactory
    count: int = 0
    is_available: bool = True
    merchants: set[UUID | None] = field(default_factory=set)

    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        self.count += 1
        self.merchants.add(CURRENT_MERCHANT.get())
        if not self.is_available:
            raise StorageUnavailable
        return self.begin()


@dataclass
class Stream:
    """Callers that wait in threads for the events of merchants."""

    begin: CountingBegin
    signal: PollingEventSignal
    threads: ThreadPoolExecutor

    def add_events(self, merchant_id: UUID, count: int = 1) -> None:
        event = Event(merchant_id, EventType.AUTHORIZED, None, None, data={})
        with self.begin.begin() as work:
            work.events.add([event] * count)
            work.commit()

    def wait(self, merchant_id: UUID, after: int, seconds: float = WAIT) -> "Future[int]":
        return self.threads.submit(self.signal.wait, merchant_id, after, seconds)

    def await_waiting(self, count: int) -> None:
        wait_until(lambda: self.signal._waiting == count, 60, f"{count} callers wait")

    def await_polls(self, count: int) -> None:
        start = self.begin.count
        wait_until(lambda: self.begin.count >= start + count, 60, f"{count} polls")


@pytest.fixture
def stream(store: Store) -> Iterator[Stream]:
    begin = CountingBegin(store.begin)
    signal = PollingEventSignal(begin, connections=10, interval_seconds=0.01)
    with ThreadPoolExecutor(20) as threads:
        yield Stream(begin, signal, threads)
        signal.stop()
        wait_until(lambda: signal._thread is None, 60, "the poller has ended")


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


def test_wait_ends_when_the_stream_grows(stream: Stream, merchant_id: UUID) -> None:
    first = stream.wait(merchant_id, 0)
    stream.await_waiting(1)
    stream.add_events(merchant_id, 2)
    assert first.result(SECONDS) == 2
    second = stream.wait(merchant_id, 2)
    stream.await_waiting(1)
    stream.await_polls(2)
    assert not second.done()
    stream.add_events(merchant_id)
    assert second.result(SECONDS) == 3


def test_wait_for_what_is_there_already_ends_at_once(stream: Stream, merchant_id: UUID) -> None:
    stream.add_events(merchant_id, 3)
    assert stream.wait(merchant_id, 1).result(SECONDS) == 3


def test_wait_ends_after_its_time(stream: Stream, merchant_id: UUID) -> None:
    stream.add_events(merchant_id)
    assert stream.signal.wait(merchant_id, 1, 0.05) == 1
    assert stream.signal.wait(merchant_id, 7, 0.05) == 7
    assert stream.signal.wait(IDS.new_id(), 0, 0.05) == 0


def test_only_those_whose_stream_has_grown_are_woken(
    stream: Stream, store: Store, merchant_id: UUID
) -> None:
    other_id = add_merchant(store.begin)
    waits = [stream.wait(merchant_id, 0), stream.wait(merchant_id, 1), stream.wait(other_id, 0)]
    stream.await_waiting(3)
    stream.add_events(merchant_id)
    assert waits[0].result(SECONDS) == 1
    stream.await_polls(2)
    assert [wait.done() for wait in waits] == [True, False, False]


def test_callers_share_one_poller_that_ends_with_them(stream: Stream, merchant_id: UUID) -> None:
    waits = [stream.wait(merchant_id, 0) for _ in range(MERCHANT_SHARE)]
    stream.await_waiting(MERCHANT_SHARE)
    pollers = [thread for thread in threading.enumerate() if thread.name == "event-signal"]
    assert len(pollers) == 1
    stream.add_events(merchant_id)
    assert [wait.result(SECONDS) for wait in waits] == [1] * MERCHANT_SHARE
    wait_until(lambda: not pollers[0].is_alive(), 60, "the poller has ended")
    count = stream.begin.count
    assert stream.signal.wait(merchant_id, 0, WAIT) == 1
    assert stream.begin.count > count


def test_poller_belongs_to_no_merchant(stream: Stream, merchant_id: UUID) -> None:
    token = CURRENT_MERCHANT.set(merchant_id)
    try:
        stream.signal.wait(merchant_id, 0, 0.1)
    finally:
        CURRENT_MERCHANT.reset(token)
    assert stream.begin.merchants == {None}


def test_bounds_of_waiting_callers(stream: Stream, store: Store, merchant_id: UUID) -> None:
    other_id, third_id = (add_merchant(store.begin) for _ in range(2))
    waits = [stream.wait(merchant_id, 0) for _ in range(MERCHANT_SHARE)]
    stream.await_waiting(MERCHANT_SHARE)
    with pytest.raises(TooManyWaiting):
        stream.signal.wait(merchant_id, 0, WAIT)
    waits += [stream.wait(other_id, 0) for _ in range(PROCESS_SHARE - MERCHANT_SHARE)]
    stream.await_waiting(PROCESS_SHARE)
    with pytest.raises(WaitingPlacesTaken):
        stream.signal.wait(third_id, 0, WAIT)
    stream.add_events(merchant_id)
    assert [wait.result(SECONDS) for wait in waits[:MERCHANT_SHARE]] == [1] * MERCHANT_SHARE
    assert stream.signal.wait(third_id, 0, 0.05) == 0


def test_unavailable_storage_neither_ends_nor_extends_a_wait(
    stream: Stream, merchant_id: UUID
) -> None:
    wait = stream.wait(merchant_id, 0)
    stream.await_waiting(1)
    stream.begin.is_available = False
    stream.add_events(merchant_id)
    stream.await_polls(3)
    assert not wait.done()
    assert stream.signal.wait(merchant_id, 0, 0.05) == 0
    stream.begin.is_available = True
    assert wait.result(SECONDS) == 1


def test_stop_ends_all_waits_and_shortens_later_ones(stream: Stream, merchant_id: UUID) -> None:
    waits = [stream.wait(merchant_id, 0) for _ in range(MERCHANT_SHARE)]
    stream.await_waiting(MERCHANT_SHARE)
    stream.signal.stop()
    assert [wait.result(SECONDS) for wait in waits] == [0] * MERCHANT_SHARE
    assert stream.wait(merchant_id, 0).result(SECONDS) == 0


@pytest.fixture
def reader(stream: Stream) -> BatchedEventReader:
    return BatchedEventReader(stream.begin)


def get_sequences(events: Sequence[StreamEvent] | None) -> list[int]:
    assert events is not None
    return [event.sequence for event in events]


def test_concurrent_readers_get_what_each_requested(
    stream: Stream, store: Store, reader: BatchedEventReader, merchant_id: UUID
) -> None:
    other_id = add_merchant(store.begin)
    stream.add_events(merchant_id, 4)
    stream.add_events(other_id, 2)
    reads = [
        StreamRead(merchant_id, EventFilter(after=0), 10, is_oldest_first=True),
        StreamRead(merchant_id, EventFilter(after=1), 2, is_oldest_first=True),
        StreamRead(merchant_id, EventFilter(), 3, is_oldest_first=False),
        StreamRead(other_id, EventFilter(after=0), 10, is_oldest_first=True),
    ] * 5
    actions: list[Callable[[], object]] = [lambda read=read: reader.read(read) for read in reads]
    stream.begin.count = 0
    pages = [get_sequences(page) for page in run_concurrently(actions)]  # type: ignore[arg-type]
    assert pages == [[1, 2, 3, 4], [2, 3], [4, 3, 2], [1, 2]] * 5
    assert stream.begin.count <= len(reads)


def test_reader_checks_the_key_with_each_read(
    store: Store, stream: Stream, reader: BatchedEventReader, merchant_id: UUID
) -> None:
    application = build_application(store.begin)
    keys = [application.api_keys.issue(merchant_id, name).key for name in ("first", "second")]
    stream.add_events(merchant_id)
    first, second = (
        StreamRead(merchant_id, EventFilter(), 10, is_oldest_first=True, key_id=key.id)
        for key in keys
    )
    assert get_sequences(reader.read(first)) == get_sequences(reader.read(second)) == [1]
    application.api_keys.revoke(keys[0].id)
    assert reader.read(first) is None
    assert get_sequences(reader.read(second)) == [1]
    assert get_sequences(reader.read(first._replace(key_id=None))) == [1]


def test_unavailable_storage_is_raised_to_readers(
    stream: Stream, reader: BatchedEventReader, merchant_id: UUID
) -> None:
    stream.begin.is_available = False
    with pytest.raises(StorageUnavailable):
        reader.read(StreamRead(merchant_id, EventFilter(), 1, is_oldest_first=True))


class Shop:
    """A merchant with payments, whose events are added one by one."""

    def __init__(self, stream: Stream, store: Store, merchant_id: UUID) -> None:
        self.stream, self.merchant_id = stream, merchant_id
        record = build_application(store.begin).payments.record
        self.payment_ids = [record(build_payment(merchant_id)).id for _ in range(2)]

    def add_event(self, payment_id: UUID) -> None:
        event = Event(self.merchant_id, EventType.AUTHORIZED, payment_id, Status.AUTHORIZED)
        with self.stream.begin.begin() as work:
            work.events.add([event])
            work.commit()


@pytest.fixture
def shop(stream: Stream, store: Store, merchant_id: UUID) -> Shop:
    return Shop(stream, store, merchant_id)


def test_watch_is_woken_once_for_what_was_before_and_then_by_its_subject(
    stream: Stream, shop: Shop
) -> None:
    payment_id, other_id = shop.payment_ids
    shop.add_event(payment_id)
    with stream.signal.watch(shop.merchant_id, payment_id) as watch:
        assert watch.wait(SECONDS)
        stream.await_polls(2)
        assert not watch.wait(0)
        shop.add_event(other_id)
        stream.add_events(shop.merchant_id)
        stream.await_polls(4)
        assert not watch.wait(0)
        shop.add_event(payment_id)
        assert watch.wait(SECONDS)
        stream.await_polls(2)
        assert not watch.wait(0)
    assert (stream.signal._watches, stream.signal._positions) == ({}, {})


def test_watch_misses_no_event_while_the_storage_is_unavailable(stream: Stream, shop: Shop) -> None:
    with stream.signal.watch(shop.merchant_id, shop.payment_ids[0]) as watch:
        assert watch.wait(SECONDS)
        stream.begin.is_available = False
        stream.await_polls(2)
        shop.add_event(shop.payment_ids[0])
        stream.await_polls(2)
        assert not watch.wait(0)
        stream.begin.is_available = True
        assert watch.wait(SECONDS)


def test_watch_finds_its_event_among_more_than_one_read(
    stream: Stream, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_signal, "EVENTS_PER_READ", 2)
    payment_id, other_id = shop.payment_ids
    with stream.signal.watch(shop.merchant_id, payment_id) as watch:
        assert watch.wait(SECONDS)
        stream.begin.is_available = False
        for _ in range(5):
            shop.add_event(other_id)
        shop.add_event(payment_id)
        stream.begin.is_available = True
        assert watch.wait(SECONDS)


def test_watches_and_waits_share_their_places(stream: Stream) -> None:
    merchant_id = IDS.new_id()
    with ExitStack() as watches:
        for _ in range(MERCHANT_SHARE):
            watches.enter_context(stream.signal.watch(merchant_id, IDS.new_id()))
        with pytest.raises(TooManyWaiting):
            watches.enter_context(stream.signal.watch(merchant_id, IDS.new_id()))
        with pytest.raises(TooManyWaiting):
            stream.signal.wait(merchant_id, 0, WAIT)
        for _ in range(PROCESS_SHARE - MERCHANT_SHARE):
            watches.enter_context(stream.signal.watch(IDS.new_id(), IDS.new_id()))
        with pytest.raises(WaitingPlacesTaken):
            watches.enter_context(stream.signal.watch(IDS.new_id(), IDS.new_id()))
    assert stream.signal._waiting == 0


def test_stop_ends_watches_as_if_their_time_were_over(stream: Stream) -> None:
    merchant_id = IDS.new_id()
    with stream.signal.watch(merchant_id, IDS.new_id()) as watch:
        assert watch.wait(SECONDS)
        ending = stream.threads.submit(watch.wait, WAIT)
        stream.signal.stop()
        assert ending.result(SECONDS) is False
        assert watch.wait(0) is False
