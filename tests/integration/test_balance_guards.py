"""What PostgreSQL refuses of snapshots, shifts and closed periods, even from psql, and that nothing
waits for snapshots."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_core.domain.ledger_verification import LedgerCheck
from atomic_core.domain.periods import ClosingRequest
from balance_scenarios import TimedBooks
from integration.test_journal_guards import psql
from support import IDS, Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
END = date(2026, 1, 31)
WITHIN = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def books(postgres_store: Store) -> TimedBooks:
    books = TimedBooks(postgres_store.begin)
    books.pay(NOON)
    return books


def test_snapshot_of_no_entry_is_refused(books: TimedBooks, database_url: str) -> None:
    insert = b"""INSERT INTO balance_snapshots (account_id, day, sequence, balance)
                 VALUES (%s, %s, %s, %s)"""
    day = NOON.date()
    for row in ((day, 1, 99), (day + DAY, 1, 100), (day, 2, 100)):
        with (
            pytest.raises(errors.CheckViolation, match="is not that of an entry"),
            psql(database_url) as connection,
        ):
            connection.execute(insert, (books.main, *row))
    with psql(database_url) as connection:
        connection.execute(insert, (books.main, day, 1, 100))
    for change in (b"balance = 1", b"sequence = 2", b"day = '2026-03-02'"):
        with (
            pytest.raises(errors.CheckViolation, match="is not that of an entry"),
            psql(database_url) as connection,
        ):
            connection.execute(b"UPDATE balance_snapshots SET " + change)
    with (
        pytest.raises(errors.RestrictViolation, match="are kept"),
        psql(database_url) as connection,
    ):
        connection.execute(b"DELETE FROM balance_snapshots")


@pytest.mark.parametrize(
    "change",
    [
        b"UPDATE effective_shifts SET amount = amount + 1 WHERE unit = 'day' AND amount > 0",
        b"DELETE FROM effective_shifts WHERE unit = 'moment' AND amount > 0",
        b"UPDATE effective_shifts SET starts_at = now() WHERE unit = 'month' AND amount > 0",
    ],
)
def test_verification_finds_a_false_shift(
    books: TimedBooks, database_url: str, change: bytes
) -> None:
    books.move(NOON + DAY, 10, NOON - 90 * DAY)
    books.assert_ledger_is_clean()
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(change).rowcount
    findings = books.application.ledger.verify().findings
    assert {finding.check for finding in findings} == {LedgerCheck.SHIFT_IS_SUM}


def test_posting_does_not_wait_for_snapshots(books: TimedBooks) -> None:
    """Nor do snapshots wait for a posting: the accounts are locked meanwhile."""
    with books.begin() as work:
        work.balances.lock_progress()
        work.commit()
    with books.begin() as posting:
        posting.accounts.lock([books.main])
        with books.begin() as work:
            assert work.balances.lock_progress() is not None
            # Another process takes none meanwhile.
            assert books.application.balances.take_snapshots() == 0
            taken, _ = work.balances.take_snapshots(None, 500, NOON.date() + DAY)
            assert taken == 2
            # What a snapshot was just taken of can be posted to.
            posting.accounts.lock([books.main, books.other])
            work.commit()
    books.assert_ledger_is_clean()


def test_uncommitted_entry_is_in_no_snapshot(books: TimedBooks) -> None:
    with books.begin() as posting:
        posting.accounts.lock([books.main])
        books.take_snapshots()
    books.pay(NOON + timedelta(hours=1))
    assert books.get_balance(books.main, NOON + DAY) == 200
    books.assert_ledger_is_clean()


def close(books: TimedBooks, end: date = END) -> UUID:
    return books.application.periods.close(ClosingRequest(books.merchant_id, end)).id


def test_closed_period_is_final(books: TimedBooks, database_url: str) -> None:
    close(books)
    for statement in (
        b"UPDATE ledger_periods SET ends_on = '2026-01-30'",
        b"DELETE FROM ledger_periods",
        b"UPDATE closing_balances SET balance = 1",
        b"DELETE FROM closing_balances",
        b"TRUNCATE closing_balances",
    ):
        with (
            pytest.raises(errors.RestrictViolation, match="kept as it"),
            psql(database_url) as link,
        ):
            link.execute(statement)
    with pytest.raises(errors.CheckViolation, match="is not new"), psql(database_url) as link:
        link.execute(
            b"""INSERT INTO closing_balances (period_id, sequence, account_id, currency, balance)
                SELECT id, 9, id, 'USD', 1 FROM ledger_periods"""
        )


def test_period_that_does_not_follow_is_refused(books: TimedBooks, database_url: str) -> None:
    close(books)
    for starts_on, ends_on in (
        (None, "2026-02-28"),
        ("2026-02-02", "2026-02-28"),
        ("2026-02-01", str(datetime.now(UTC).date())),
    ):
        with (
            pytest.raises((errors.CheckViolation, errors.UniqueViolation)),
            psql(database_url) as link,
        ):
            link.execute(
                b"""INSERT INTO ledger_periods (id, merchant_id, starts_on, ends_on, closed_at,
                                                accounts, digest, previous_digest)
                    SELECT %s, merchant_id, %s, %s, now(), 0, digest, digest
                      FROM ledger_periods""",
                (IDS.new_id(), starts_on, ends_on),
            )


def test_journal_transaction_in_a_closed_period_is_refused(
    books: TimedBooks, database_url: str
) -> None:
    close(books)
    insert = b"""
        INSERT INTO journal_transactions (id, merchant_id, status, effective_at, created_at,
                                          expires_at)
        VALUES (%s, %s, %s, %s, now(), now() + interval '1 day')"""
    for status in ("POSTED", "PENDING"):
        with (
            pytest.raises(errors.CheckViolation, match="in a closed period"),
            psql(database_url) as link,
        ):
            link.execute(insert, (IDS.new_id(), books.merchant_id, status, WITHIN))
    # With no effective time it takes effect when it is posted.
    with (
        pytest.raises(errors.CheckViolation, match="in a closed period"),
        psql(database_url) as link,
    ):
        id = IDS.new_id()
        link.execute(insert, (id, books.merchant_id, "PENDING", None))
        link.execute(
            b"""UPDATE journal_transactions SET status = 'POSTED', effective_at = %s,
                       resolved_at = now() WHERE id = %s""",
            (WITHIN, id),
        )
