"""What PostgreSQL refuses of pending journal transactions, even from psql."""

from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from integration.test_journal_guards import Legs, add_posting, psql
from journal_scenarios import Books
from support import IDS, Store, add_merchant, open_account


@pytest.fixture
def books(postgres_store: Store) -> Books:
    return Books(postgres_store.begin)


def build_legs(books: Books, amount: int = 5) -> Legs:
    return [(books.funded, -amount), (books.other, amount)]


def add_pending(
    connection: psycopg.Connection, merchant_id: UUID, legs: Legs, held: Legs | None = None
) -> UUID:
    id = IDS.new_id()
    connection.execute(
        b"""INSERT INTO journal_transactions (id, merchant_id, status, created_at, expires_at)
            VALUES (%s, %s, 'PENDING', now(), now() + interval '1 day')""",
        (id, merchant_id),
    )
    for position, (account_id, amount) in enumerate(legs):
        connection.execute(
            b"INSERT INTO journal_entries VALUES (%s, %s, %s, %s, now())",
            (id, account_id, position, amount),
        )
    for account_id, amount in legs if held is None else held:
        add_hold(connection, id, account_id, amount)
    return id


def add_hold(connection: psycopg.Connection, id: UUID, account_id: UUID, amount: int) -> None:
    connection.execute(
        b"""INSERT INTO journal_holds (transaction_id, account_id, amount, placed_at)
            VALUES (%s, %s, %s, now())""",
        (id, account_id, amount),
    )


def resolve(connection: psycopg.Connection, id: UUID, status: str = "VOIDED") -> None:
    connection.execute(
        b"""UPDATE journal_transactions
               SET status = %s, resolved_at = now(),
                   effective_at = CASE %s WHEN 'POSTED' THEN now() END
             WHERE id = %s""",
        (status, status, id),
    )


def release(connection: psycopg.Connection, id: UUID) -> None:
    connection.execute(
        b"UPDATE journal_holds SET released_at = now() WHERE transaction_id = %s", (id,)
    )


def test_pending_transaction_with_its_holds_is_accepted(books: Books, database_url: str) -> None:
    with psql(database_url) as connection:
        id = add_pending(connection, books.merchant_id, build_legs(books))
    assert books.get_account(books.funded).pending_out == 5
    with psql(database_url) as connection:
        resolve(connection, id, "POSTED")
        release(connection, id)
        add_posting(connection, id, build_legs(books, 4))
    assert books.get_balances()[:2] == [996, 4]
    assert books.get_account(books.other).pending_in == 0


def test_other_holds_than_entries_are_refused(books: Books, database_url: str) -> None:
    legs = build_legs(books)
    for held in (
        [],
        legs[:1],
        build_legs(books, 4),
        [(books.funded, -5), (books.third, 5)],
        [*legs, (books.third, 1)],
    ):
        with (
            pytest.raises(errors.CheckViolation, match="does not match the ledger"),
            psql(database_url) as connection,
        ):
            add_pending(connection, books.merchant_id, legs, held)


def test_unbalanced_or_foreign_entries_are_refused(books: Books, database_url: str) -> None:
    stranger = open_account(books.begin, add_merchant(books.begin))
    for legs in (
        [(books.funded, -5), (books.other, 4)],
        [(books.funded, -5), (books.other_euros, 5)],
        [(books.funded, -5), (stranger, 5)],
        [],
    ):
        with (
            pytest.raises(errors.CheckViolation, match="does not match the ledger"),
            psql(database_url) as connection,
        ):
            add_pending(connection, books.merchant_id, legs)


def test_holds_follow_the_status(books: Books, database_url: str) -> None:
    pending = books.reserve(5)
    for steps in ((resolve,), (release,)):
        with (
            pytest.raises(errors.CheckViolation, match="does not match the ledger"),
            psql(database_url) as connection,
        ):
            for step in steps:
                step(connection, pending.id)
    assert books.get(pending) == pending


def test_posting_without_its_status_is_refused(books: Books, database_url: str) -> None:
    pending = books.reserve(5)
    with (
        pytest.raises(errors.ForeignKeyViolation, match="is not POSTED"),
        psql(database_url) as connection,
    ):
        add_posting(connection, pending.id, build_legs(books))


def test_posting_of_more_than_is_reserved_is_refused(books: Books, database_url: str) -> None:
    pending = books.reserve(5)
    for legs in (
        build_legs(books, 6),
        [(books.funded, -5), (books.third, 5)],
        [(books.funded, -5), (books.other, 4), (books.third, 1)],
        [],
    ):
        with (
            pytest.raises(errors.CheckViolation, match="does not match the ledger"),
            psql(database_url) as connection,
        ):
            resolve(connection, pending.id, "POSTED")
            release(connection, pending.id)
            if legs:
                add_posting(connection, pending.id, legs)


def test_entries_and_holds_are_added_with_their_transaction_only(
    books: Books, database_url: str
) -> None:
    pending, posted = books.reserve(5), books.transfer(1)
    for id in (pending.id, posted.id, IDS.new_id()):
        with pytest.raises(errors.CheckViolation), psql(database_url) as connection:
            add_hold(connection, id, books.third, 5)
    with (
        pytest.raises(errors.CheckViolation, match="which is not new"),
        psql(database_url) as connection,
    ):
        resolve(connection, pending.id)
        connection.execute(
            b"INSERT INTO journal_entries VALUES (%s, %s, 2, 5, %s)",
            (pending.id, books.third, pending.created_at),
        )


def test_transaction_ends_once_and_not_early(books: Books, database_url: str) -> None:
    pending, voided = books.reserve(5), books.reserve(5)
    books.void(voided)
    for id, status in (
        (pending.id, "EXPIRED"),
        (voided.id, "VOIDED"),
        (voided.id, "POSTED"),
        (voided.id, "PENDING"),
    ):
        with pytest.raises(errors.RestrictViolation), psql(database_url) as connection:
            resolve(connection, id, status)
    for statement in (
        b"UPDATE journal_transactions SET description = 'x'",
        b"UPDATE journal_transactions SET expires_at = now()",
        b"UPDATE journal_transactions SET status = 'VOIDED', resolved_at = now(), merchant_id = id",
        b"DELETE FROM journal_transactions",
        b"UPDATE journal_holds SET amount = 1",
        b"UPDATE journal_holds SET released_at = NULL",
        b"DELETE FROM journal_holds",
        b"TRUNCATE journal_holds",
    ):
        with pytest.raises(errors.RestrictViolation), psql(database_url) as connection:
            connection.execute(statement)


def test_pending_amounts_follow_from_holds(books: Books, database_url: str) -> None:
    books.reserve(5)
    with (
        pytest.raises(errors.CheckViolation, match="does not follow from its holds"),
        psql(database_url) as connection,
    ):
        connection.execute(b"UPDATE accounts SET pending_out = 4 WHERE id = %s", (books.funded,))


def test_available_balance_is_guarded(books: Books, database_url: str) -> None:
    with (
        pytest.raises(errors.CheckViolation, match="less than is reserved of it"),
        psql(database_url) as connection,
    ):
        add_pending(connection, books.merchant_id, build_legs(books, 1_001))
