"""Balances by time are the sums of entries, whatever snapshots were taken in between."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atomic_core.domain.balances import BalanceQuery, TimeAxis
from balance_scenarios import TimedBooks
from support import DEPTH, Store

BEGIN = datetime(2025, 12, 30, 12, tzinfo=UTC)
TICK, DAY = timedelta(microseconds=1), timedelta(days=1)

gaps = st.sampled_from(
    [timedelta(), TICK, timedelta(seconds=1), DAY / 2, DAY - TICK, DAY, 40 * DAY]
)
shifts = st.sampled_from(
    [
        *(None, None, TICK, -TICK, timedelta(seconds=20), timedelta(minutes=-5)),
        *(DAY, -DAY, 40 * DAY, -400 * DAY, 4_000 * DAY),
    ]
)
steps = st.lists(
    st.tuples(gaps, st.integers(1, 9), st.sampled_from([1, 2]), shifts, st.booleans()),
    min_size=1,
    max_size=12,
)


Step = tuple[timedelta, int, int, timedelta | None, bool]


class ModelEntry(NamedTuple):
    account_id: UUID
    amount: int
    posted_at: datetime
    effective_at: datetime


def take_snapshots(books: TimedBooks, now: datetime) -> None:
    """Of the days before `now`, as if it were the present time."""
    with books.begin() as work:
        while work.balances.take_snapshots(None, 10_000, now.date())[0]:
            pass
        work.commit()


@settings(
    max_examples=8 * DEPTH,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps)
def test_balances_are_sums_of_entries(postgres_store: Store, steps: list[Step]) -> None:
    books, now = TimedBooks(postgres_store.begin), BEGIN
    books.pay(BEGIN, 1_000)
    entries = [ModelEntry(books.main, 1_000, BEGIN, BEGIN)]
    accounts = [books.main, books.other, books.third]
    for gap, amount, target, shift, has_snapshots in steps:
        now += gap
        source, target_id = accounts[0], accounts[target]
        legs = [(source, -amount), (target_id, amount)]
        posted = books.post(now, legs, None if shift is None else now + shift)
        assert posted.effective_at is not None
        entries += [ModelEntry(id, change, now, posted.effective_at) for id, change in legs]
        if has_snapshots:
            take_snapshots(books, now)
    check(books, entries)
    take_snapshots(books, now + 2 * DAY)
    check(books, entries)
    books.assert_ledger_is_clean()


def check(books: TimedBooks, entries: list[ModelEntry]) -> None:
    times = {entry.posted_at for entry in entries} | {entry.effective_at for entry in entries}
    days = {time.replace(hour=0, minute=0, second=0, microsecond=0) for time in times}
    moments = sorted(
        {time + offset for time in times | days for offset in (-TICK, timedelta(), TICK)}
    )
    queries = [
        BalanceQuery(account_id, moment)
        for account_id in (books.main, books.other, books.third)
        for moment in moments
    ]
    for axis in TimeAxis:
        with books.begin() as work:
            found = [row.balance for row in work.balances.list_before(queries, axis)]
        assert found == [sum_before(entries, query, axis) for query in queries]


def sum_before(entries: list[ModelEntry], query: BalanceQuery, axis: TimeAxis) -> int:
    return sum(
        entry.amount
        for entry in entries
        if entry.account_id == query.account_id
        and (entry.posted_at if axis is TimeAxis.POSTED else entry.effective_at) < query.before
    )
