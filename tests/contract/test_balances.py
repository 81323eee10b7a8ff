"""Balances as of a moment, on both stores."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from atomic_core.domain.balances import (
    BalanceQuery,
    TimeAxis,
    TrialBalanceRow,
    include_moment,
)
from atomic_core.domain.errors import NotFound, ValidationFailed
from atomic_core.domain.ledger_verification import LedgerCheck
from balance_scenarios import WORLD, TimedBooks
from support import Store, add_merchant

POSTED, EFFECTIVE = TimeAxis
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""Of the first day. Midnight follows twelve hours later."""


@pytest.fixture
def books(store: Store) -> TimedBooks:
    return TimedBooks(store.begin)


def read_days(
    books: TimedBooks, account_id: UUID, first: date, last: date, axis: TimeAxis
) -> list[tuple[int, int]]:
    history = books.application.balances.get_history(
        books.merchant_id, account_id, axis, first, last
    )
    assert [day.day for day in history.days] == [
        first + DAY * offset for offset in range((last - first).days + 1)
    ]
    return [(day.balance, day.change) for day in history.days]


def test_posted_balance_has_the_entries_before_the_moment(books: TimedBooks) -> None:
    times = [NOON, NOON, NOON + 12 * timedelta(hours=1), NOON + 3 * DAY, NOON + 3 * DAY + TICK]
    for number, at in enumerate(times):
        books.pay(at, 10**number)
    expected = {
        NOON: 0,
        NOON + TICK: 11,
        NOON + timedelta(hours=12): 11,
        NOON + timedelta(hours=12) + TICK: 111,
        NOON + 3 * DAY: 111,
        NOON + 3 * DAY + TICK: 1_111,
        NOON + 4 * DAY: 11_111,
    }
    for _ in range(2):
        assert {at: books.get_balance(books.main, at) for at in expected} == expected
        assert books.get_balance(books.main, None) == 11_111
        # Equal from snapshots.
        books.take_snapshots()
    get = books.application.balances.get
    present = get(books.merchant_id, books.main, POSTED, None)
    assert (present.sequence, present.pending, present.available) == (5, (0, 0), 11_111)
    past = get(books.merchant_id, books.main, POSTED, NOON + TICK)
    assert (past.sequence, past.pending, past.available) == (2, None, None)
    books.assert_ledger_is_clean()


def test_effective_balance_has_what_took_effect_before_the_moment(books: TimedBooks) -> None:
    books.pay(NOON)
    past, future = NOON - 40 * DAY, NOON + 400 * DAY
    books.move(NOON + DAY, 5, past)
    books.move(NOON + DAY, 7, future)
    books.take_snapshots()
    books.move(NOON + 2 * DAY, 20, past)
    books.move(NOON + 2 * DAY, 1)
    expected = {
        past: (0, 0),
        past + TICK: (-25, 25),
        NOON: (-25, 25),
        NOON + TICK: (75, 25),
        NOON + 2 * DAY: (75, 25),
        NOON + 2 * DAY + TICK: (74, 26),
        future: (74, 26),
        future + TICK: (67, 33),
    }
    for _ in range(2):
        found = {
            at: tuple(books.get_balance(id, at, EFFECTIVE) for id in (books.main, books.other))
            for at in expected
        }
        assert found == expected
        books.take_snapshots()
    assert books.get_balance(books.main, None, EFFECTIVE) == 74
    assert books.get_balance(books.main, None) == 67
    effective = books.application.balances.get(books.merchant_id, books.main, EFFECTIVE, NOON)
    assert (effective.sequence, effective.pending) == (None, None)
    books.assert_ledger_is_clean()


def test_history_has_each_day(books: TimedBooks) -> None:
    books.pay(NOON)
    books.move(NOON + 2 * DAY, 5, NOON + DAY)
    first = NOON.date()
    assert read_days(books, books.main, first - DAY, first + 3 * DAY, POSTED) == [
        (0, 0),
        (100, 100),
        (100, 0),
        (95, -5),
        (95, 0),
    ]
    assert read_days(books, books.main, first, first + 2 * DAY, EFFECTIVE) == [
        (100, 100),
        (95, -5),
        (95, 0),
    ]
    for range_ in ((first, first - DAY), (first, first + 366 * DAY)):
        with pytest.raises(ValidationFailed, match="to: Must"):
            read_days(books, books.main, *range_, POSTED)
    assert len(read_days(books, books.main, first, first + 365 * DAY, POSTED)) == 366


def test_account_of_another_merchant_is_not_found(books: TimedBooks) -> None:
    stranger, balances = add_merchant(books.begin), books.application.balances
    with pytest.raises(NotFound, match="No account has this id"):
        balances.get(stranger, books.main, POSTED, None)
    with pytest.raises(NotFound, match="No account has this id"):
        balances.get_history(stranger, books.main, POSTED, NOON.date(), NOON.date())
    assert balances.get_trial_balance(stranger, POSTED, None).rows == []


def test_trial_balance_sums_debits_and_credits(books: TimedBooks) -> None:
    books.pay(NOON)
    books.move(NOON + DAY, 30, NOON - DAY)
    read, read_all = (
        books.application.balances.get_trial_balance,
        books.application.balances.get_whole_trial_balance,
    )
    for _ in range(2):
        own = read(books.merchant_id, POSTED, NOON + 2 * DAY)
        assert own.rows == [TrialBalanceRow("liability", "USD", 2, 0, 100)]
        assert [tuple(total) for total in own.totals] == [("USD", 0, 100)]
        # The payment came from outside.
        assert (own.is_balanced, own.totals[0].difference) == (False, 100)
        whole = read_all(POSTED, NOON + 2 * DAY)
        assert whole.rows == [
            TrialBalanceRow("liability", "USD", 2, 0, 100),
            TrialBalanceRow("asset", "USD", 1, 100, 0, is_system=True),
        ]
        assert whole.is_balanced
        # Before the payment, a transfer has taken effect.
        own = read(books.merchant_id, EFFECTIVE, NOON)
        assert own.rows == [TrialBalanceRow("liability", "USD", 2, 30, 30)]
        assert own.is_balanced
        assert read(books.merchant_id, POSTED, NOON).rows == []
        books.take_snapshots()
    assert read(books.merchant_id, POSTED, None).rows[0].accounts == 3
    assert read_all(EFFECTIVE, None).is_balanced


def test_snapshots_are_taken_of_days_that_have_ended(books: TimedBooks) -> None:
    for at in (NOON, NOON + TICK, NOON + 5 * DAY, datetime.now(UTC)):
        books.pay(at)
    # Of `main` and World, on two days each.
    assert books.take_snapshots() == 4
    assert books.take_snapshots() == 0
    assert books.get_balance(books.main, NOON + 6 * DAY) == 300
    books.assert_ledger_is_clean()


def test_snapshot_advances_to_entries_that_are_committed_after_it(store: Store) -> None:
    """An entry of the same day, committed later: the next run finds it, and readers do before."""
    books = TimedBooks(store.begin)
    books.pay(NOON)
    with books.begin() as work:
        taken, _ = work.balances.take_snapshots(None, 500, NOON.date() + DAY)
        work.commit()
    assert taken == 2
    books.pay(NOON + TICK)
    books.pay(NOON + DAY)
    moments = [NOON + TICK, NOON + 2 * TICK, NOON + DAY, NOON + DAY + TICK]
    for expected in (4, 0):
        assert [books.get_balance(books.main, at) for at in moments] == [100, 200, 200, 300]
        assert books.take_snapshots() == expected
    books.assert_ledger_is_clean()


def test_progress_of_snapshots_is_kept(books: TimedBooks) -> None:
    books.pay(NOON)
    with books.begin() as work:
        assert work.balances.lock_progress() == (None, None)
        work.balances.save_progress(NOON.date(), books.main)
        work.commit()
    with books.begin() as work:
        assert work.balances.lock_progress() == (NOON.date(), books.main)


def test_snapshots_are_taken_in_bounded_batches(
    books: TimedBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_core.use_cases.balances.SNAPSHOT_BATCH_SIZE", 1)
    monkeypatch.setattr("atomic_core.use_cases.balances.MAX_SNAPSHOT_BATCHES", 3)
    for day in range(3):
        books.pay(NOON + day * DAY)
        books.move(NOON + day * DAY)
    counts = [books.application.balances.take_snapshots() for _ in range(12)]
    assert sum(counts) == 9
    assert max(counts) <= 3
    with books.begin() as work:
        through, after_id = work.balances.lock_progress() or (None, None)
    assert through is not None
    assert after_id is None


def test_balances_are_in_the_order_of_the_queries(books: TimedBooks) -> None:
    books.pay(NOON)
    queries = [
        BalanceQuery(books.main, NOON + DAY),
        BalanceQuery(WORLD, NOON + DAY),
        BalanceQuery(books.main, NOON),
        BalanceQuery(books.main, NOON + DAY),
    ]
    with books.begin() as work:
        for axis in TimeAxis:
            rows = work.balances.list_before(queries, axis)
            assert [row.balance for row in rows] == [100, -100, 0, 100]
            assert [row.sequence for row in rows] == [1, 1, 0, 1]
            assert [(row.account_id, row.before) for row in rows] == queries


def test_moment_of_a_response_includes_its_millisecond() -> None:
    at = datetime(2026, 1, 1, 0, 0, 0, 153_999, tzinfo=UTC)
    assert include_moment(at) == datetime(2026, 1, 1, 0, 0, 0, 154_000, tzinfo=UTC)
    assert include_moment(at.replace(microsecond=0)) == at.replace(microsecond=1_000)


Falsify = Callable[[Store, TimedBooks], object]

FALSIFICATIONS: dict[str, tuple[LedgerCheck, Falsify]] = {
    "snapshot's balance": (
        LedgerCheck.SNAPSHOT_IS_ENTRY,
        lambda store, books: store.tampering.set_snapshot(books.main, NOON.date(), 1, 99),
    ),
    "snapshot's entry": (
        LedgerCheck.SNAPSHOT_IS_ENTRY,
        lambda store, books: store.tampering.set_snapshot(books.main, NOON.date(), 9, 100),
    ),
    "snapshot's day": (
        LedgerCheck.SNAPSHOT_IS_ENTRY,
        lambda store, books: store.tampering.set_snapshot(books.main, NOON.date(), 2, 90),
    ),
}


@pytest.mark.parametrize("name", FALSIFICATIONS)
def test_verification_finds_a_false_snapshot(store: Store, name: str) -> None:
    books = TimedBooks(store.begin)
    books.pay(NOON)
    books.move(NOON + DAY)
    books.take_snapshots()
    books.assert_ledger_is_clean()
    check, falsify = FALSIFICATIONS[name]
    falsify(store, books)
    findings = books.application.ledger.verify().findings
    assert {(finding.check, finding.subject) for finding in findings} == {
        (check, f"{books.main}/{NOON.date()}")
    }
