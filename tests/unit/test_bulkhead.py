"""One merchant's requests cannot hold every connection."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from atomic_adapters.bulkhead import CURRENT_MERCHANT, MerchantBulkhead
from atomic_core.domain.errors import StorageUnavailable
from processes import wait_until

ALICE, BOB = UUID(int=1), UUID(int=2)
GUARD_SECONDS = 30


class OpenUnits:
    """A unit of work factory that counts the open ones and keeps them open until released."""

    def __init__(self) -> None:
        self.count = 0
        self.highest = 0
        self.release = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[Any]:
        with self._lock:
            self.count += 1
            self.highest = max(self.highest, self.count)
        try:
            yield self
        finally:
            with self._lock:
                self.count -= 1


@pytest.fixture
def units() -> Iterator[OpenUnits]:
    units = OpenUnits()
    yield units
    units.release.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as threads:
        yield threads


def build_bulkhead(units: OpenUnits, **changed: Any) -> MerchantBulkhead:
    return MerchantBulkhead(units.begin, **{"max_open": 2, "wait_seconds": 60, **changed})


def use(bulkhead: MerchantBulkhead, units: OpenUnits, merchant_id: UUID | None) -> None:
    CURRENT_MERCHANT.set(merchant_id)
    try:
        with bulkhead():
            assert units.release.wait(GUARD_SECONDS)
    finally:
        CURRENT_MERCHANT.set(None)


def start(
    threads: ThreadPoolExecutor,
    bulkhead: MerchantBulkhead,
    units: OpenUnits,
    *merchant_ids: UUID | None,
) -> list[Future[None]]:
    return [threads.submit(use, bulkhead, units, merchant_id) for merchant_id in merchant_ids]


def count_requests(bulkhead: MerchantBulkhead) -> int:
    return sum(slots.requests for slots in bulkhead._slots_by_merchant.values())


def test_one_merchant_leaves_connections_to_others(
    units: OpenUnits, threads: ThreadPoolExecutor
) -> None:
    bulkhead = build_bulkhead(units)
    runs = start(threads, bulkhead, units, *[ALICE] * 10)
    wait_until(lambda: count_requests(bulkhead) == 10, GUARD_SECONDS, "all have come")
    wait_until(lambda: units.count == 2, GUARD_SECONDS, "two are open")
    runs += start(threads, bulkhead, units, BOB)
    wait_until(lambda: units.count == 3, GUARD_SECONDS, "the other merchant's is open")
    units.release.set()
    for run in runs:
        run.result(GUARD_SECONDS)
    assert units.highest == 3
    assert count_requests(bulkhead) == 0
    assert not bulkhead._slots_by_merchant, "nothing is kept of merchants without requests"


def test_request_that_waits_too_long_is_refused_and_leaves_no_trace(
    units: OpenUnits, threads: ThreadPoolExecutor
) -> None:
    bulkhead = build_bulkhead(units, max_open=1, wait_seconds=0)
    runs = start(threads, bulkhead, units, ALICE)
    wait_until(lambda: units.count == 1, GUARD_SECONDS, "one is open")
    with pytest.raises(StorageUnavailable, match="fewer at once"):
        use(bulkhead, units, ALICE)
    assert count_requests(bulkhead) == 1
    units.release.set()
    runs[0].result(GUARD_SECONDS)
    use(bulkhead, units, ALICE)


def test_number_of_waiting_requests_is_limited(
    units: OpenUnits, threads: ThreadPoolExecutor
) -> None:
    bulkhead = build_bulkhead(units, max_open=1, max_waiting=1)
    runs = start(threads, bulkhead, units, ALICE, ALICE)
    wait_until(lambda: count_requests(bulkhead) == 2, GUARD_SECONDS, "one is open, one waits")
    with pytest.raises(StorageUnavailable, match="fewer at once"):
        use(bulkhead, units, ALICE)
    units.release.set()
    for run in runs:
        run.result(GUARD_SECONDS)


def test_work_for_no_merchant_is_not_limited(units: OpenUnits, threads: ThreadPoolExecutor) -> None:
    bulkhead = build_bulkhead(units, max_open=1)
    runs = start(threads, bulkhead, units, *[None] * 5)
    wait_until(lambda: units.count == 5, GUARD_SECONDS, "all are open")
    units.release.set()
    for run in runs:
        run.result(GUARD_SECONDS)


def test_failed_unit_of_work_frees_its_place(units: OpenUnits) -> None:
    bulkhead = build_bulkhead(units, max_open=1, wait_seconds=0)
    CURRENT_MERCHANT.set(ALICE)
    try:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), bulkhead():
                raise ZeroDivisionError
    finally:
        CURRENT_MERCHANT.set(None)
    assert not bulkhead._slots_by_merchant
