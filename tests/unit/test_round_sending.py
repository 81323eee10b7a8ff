"""How the deliveries of a round share threads, and what endpoints share of a stream."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.webhook_rounds import MAX_CONCURRENT, Round, RoundItem
from atomic_core.domain.webhooks import BREAKER_FAILURES, DueDelivery, Health, WebhookResult
from atomic_core.use_cases.round_sending import RoundSending
from atomic_core.use_cases.stream_windows import MAX_WINDOWS, StreamWindows

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DELIVERED = WebhookResult(200, None, 1, "", None)
FAILED = WebhookResult(500, "answered 500", 1, "", None)
SECONDS = 20


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as executor:
        yield executor


def build_round(count: int, health: Health | None = None, *, is_ordered: bool = False) -> Round:
    endpoint = SimpleNamespace(url="https://shop.example", is_ordered=is_ordered, position=0)
    claim: Any = SimpleNamespace(endpoint=endpoint, health=health or Health())
    event: Any = SimpleNamespace(event=SimpleNamespace(type=EventType.SUCCEEDED))
    items = [
        RoundItem(DueDelivery(uuid4(), number, "https://shop.example"), event, is_retry=False)
        for number in range(1, count + 1)
    ]
    return Round(claim, items, count)


def run(
    round: Round,
    threads: ThreadPoolExecutor,
    send: Callable[[RoundItem], WebhookResult],
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    RoundSending(round, threads, send, lambda: NOW, should_stop).run()


def test_each_delivery_is_sent_once(threads: ThreadPoolExecutor) -> None:
    sent: list[int] = []

    def send(item: RoundItem) -> WebhookResult:
        sent.append(item.due.sequence)
        return DELIVERED

    round = build_round(500)
    run(round, threads, send)
    assert sorted(sent) == list(range(1, 501))
    assert round.build_record(NOW).position == 500


def test_slow_receiver_gets_ten_at_once_and_no_more(threads: ThreadPoolExecutor) -> None:
    barrier = threading.Barrier(MAX_CONCURRENT)
    in_flight: list[int] = []
    highest: list[int] = []

    def send(item: RoundItem) -> WebhookResult:
        in_flight.append(item.due.sequence)
        highest.append(len(in_flight))
        # Passed only if ten are in flight.
        barrier.wait(SECONDS)
        in_flight.remove(item.due.sequence)
        return DELIVERED

    run(build_round(3 * MAX_CONCURRENT), threads, send)
    assert max(highest) == MAX_CONCURRENT


@pytest.mark.parametrize(
    "round",
    [build_round(20, is_ordered=True), build_round(1, Health(BREAKER_FAILURES, NOW, NOW))],
    ids=["ordered", "paused"],
)
def test_one_at_a_time(threads: ThreadPoolExecutor, round: Round) -> None:
    sent: list[int] = []
    in_flight: list[int] = []

    def send(item: RoundItem) -> WebhookResult:
        in_flight.append(item.due.sequence)
        assert len(in_flight) == 1
        sent.append(item.due.sequence)
        in_flight.clear()
        return DELIVERED

    run(round, threads, send)
    assert sent == [item.due.sequence for item in round.items]


def test_round_goes_on_at_once_after_the_probe_of_a_paused_endpoint(
    threads: ThreadPoolExecutor,
) -> None:
    round = build_round(50, Health(BREAKER_FAILURES, NOW, NOW))
    run(round, threads, lambda _: DELIVERED)
    assert len(round.outcomes) == 50


def test_failures_end_the_round(threads: ThreadPoolExecutor) -> None:
    round = build_round(500)
    run(round, threads, lambda _: FAILED)
    assert BREAKER_FAILURES <= len(round.outcomes) < BREAKER_FAILURES + MAX_CONCURRENT


def test_nothing_begins_after_a_stop(threads: ThreadPoolExecutor) -> None:
    round = build_round(500)
    run(round, threads, lambda _: DELIVERED, lambda: len(round.outcomes) >= 3)
    assert 3 <= len(round.outcomes) < 3 + MAX_CONCURRENT


def test_empty_round_ends(threads: ThreadPoolExecutor) -> None:
    run(build_round(0), threads, lambda _: DELIVERED)


def test_unexpected_error_is_raised_after_everything_has_ended(
    threads: ThreadPoolExecutor,
) -> None:
    in_flight: list[int] = []

    def send(item: RoundItem) -> WebhookResult:
        in_flight.append(item.due.sequence)
        try:
            if item.due.sequence == 7:
                raise ZeroDivisionError
            return DELIVERED
        finally:
            in_flight.remove(item.due.sequence)

    round = build_round(500)
    with pytest.raises(ZeroDivisionError):
        run(round, threads, send)
    assert in_flight == []
    assert len(round.outcomes) < 500


def test_round_of_a_slow_receiver_leaves_its_thread_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one thread, which the slow round would otherwise keep until its end."""
    monkeypatch.setattr("atomic_core.use_cases.round_sending.TURN_SECONDS", 0.0)
    slow, other = build_round(1_000), build_round(1)
    has_begun = threading.Event()

    def send(_: RoundItem) -> WebhookResult:
        has_begun.set()
        return DELIVERED

    with ThreadPoolExecutor(1) as single, ThreadPoolExecutor(1) as background:
        ended = background.submit(run, slow, single, send, lambda: bool(other.outcomes))
        assert has_begun.wait(SECONDS)
        run(other, single, lambda _: DELIVERED)
        ended.result(SECONDS)
    assert len(slow.outcomes) < 1_000


class Work:
    """Counts reads of the stream."""

    def __init__(self) -> None:
        self.events = self
        self.reads: list[object] = []
        self.error: Exception | None = None

    def list_stream(self, *arguments: object, is_oldest_first: bool) -> list[object]:
        assert is_oldest_first
        self.reads.append(arguments)
        if self.error:
            raise self.error
        return [arguments]


def read(windows: StreamWindows, work: Work, merchant_id: Any, after: int, limit: int = 9) -> Any:
    filters = EventFilter(after=after, before=100)
    return windows.read(work, merchant_id, filters, limit)  # type: ignore[arg-type]


def test_window_is_read_once() -> None:
    windows, work, merchant_id = StreamWindows(), Work(), uuid4()
    first = read(windows, work, merchant_id, 1)
    assert read(windows, work, merchant_id, 1) == first
    assert len(work.reads) == 1


def test_other_merchants_positions_and_limits_are_read_for_themselves() -> None:
    windows, work, merchant_id = StreamWindows(), Work(), uuid4()
    results = [
        read(windows, work, merchant_id, 1),
        read(windows, work, uuid4(), 1),
        read(windows, work, merchant_id, 2),
        read(windows, work, merchant_id, 1, 10),
    ]
    assert len(work.reads) == len({str(result) for result in results}) == 4


def test_failed_read_is_repeated() -> None:
    windows, work, merchant_id = StreamWindows(), Work(), uuid4()
    work.error = StorageUnavailable()
    with pytest.raises(StorageUnavailable):
        read(windows, work, merchant_id, 1)
    work.error = None
    assert read(windows, work, merchant_id, 1)


def test_windows_are_bounded() -> None:
    windows, work, merchant_id = StreamWindows(), Work(), uuid4()
    for after in range(MAX_WINDOWS + 1):
        read(windows, work, merchant_id, after)
    read(windows, work, merchant_id, 0)
    assert len(work.reads) == MAX_WINDOWS + 2
