"""What PostgreSQL refuses of journal transactions that do not match the ledger, even from psql."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_core.domain.accounts import fee_account_id, world_account_id
from journal_scenarios import Books
from support import IDS, Store, add_merchant, open_account

Legs = Sequence[tuple[UUID, int]]


@contextmanager
def psql(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is committed at the end."""
    with closing(psycopg.connect(url)) as connection:
        yield connection
        connection.commit()


@pytest.fixture
def books(postgres_store: Store) -> Books:
    return Books(postgres_store.begin)


def add_journal(
    connection: psycopg.Connection,
    merchant_id: UUID,
    legs: Legs,
    id: UUID | None = None,
    reverses_id: UUID | None = None,
) -> UUID:
    id = id or IDS.new_id()
    connection.execute(
        b"""INSERT INTO journal_transactions (id, merchant_id, status, effective_at, created_at,
                                              reverses_id)
            VALUES (%s, %s, 'POSTED', now(), now(), %s)""",
        (id, merchant_id, reverses_id),
    )
    for position, (account_id, amount) in enumerate(legs):
        connection.execute(
            b"INSERT INTO journal_entries VALUES (%s, %s, %s, %s, now())",
            (id, account_id, position, amount),
        )
    return id


def add_posting(connection: psycopg.Connection, id: UUID, legs: Legs) -> None:
    """A ledger transaction and its entries as the application inserts them, but for the hashes."""
    connection.execute(
        b"""INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
            VALUES (%s, %s, 'journal', now())""",
        (id, id),
    )
    entries = [
        connection.execute(
            b"""UPDATE accounts SET balance = balance + %(amount)s, sequence = sequence + 1,
                       head = sha256(head)
                 WHERE id = %(id)s
             RETURNING id, sequence, %(amount)s::bigint, balance, head""",
            {"id": account_id, "amount": amount},
        ).fetchone()
        for account_id, amount in legs
    ]
    columns = [list(column) for column in zip(*filter(None, entries), strict=True)]
    connection.execute(
        b"""INSERT INTO entries (transaction_id, account_id, sequence, amount, balance_after, hash)
            SELECT %s, * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[],
                                     %s::bytea[])""",
        (id, *columns),
    )


def build_legs(books: Books, amount: int = 1) -> Legs:
    return [(books.funded, -amount), (books.other, amount)]


def test_matching_journal_transaction_is_accepted(books: Books, database_url: str) -> None:
    legs = [*build_legs(books), (books.euros, -2), (books.other_euros, 2)]
    with psql(database_url) as connection:
        id = add_journal(connection, books.merchant_id, legs)
        add_posting(connection, id, legs)
    assert books.get_balances() == [999, 1, 0, 998, 2]


def test_journal_transaction_without_posting_is_refused(books: Books, database_url: str) -> None:
    with (
        pytest.raises(errors.CheckViolation, match="does not match the ledger"),
        psql(database_url) as connection,
    ):
        add_journal(connection, books.merchant_id, build_legs(books))


def test_posting_without_journal_transaction_is_refused(books: Books, database_url: str) -> None:
    posted = books.transfer(1)
    for id, error in (
        (IDS.new_id(), errors.ForeignKeyViolation),
        (posted.id, errors.UniqueViolation),
    ):
        with pytest.raises(error), psql(database_url) as connection:
            add_posting(connection, id, build_legs(books))


def test_posting_of_other_entries_is_refused(books: Books, database_url: str) -> None:
    requested = build_legs(books)
    for posted in (
        build_legs(books, 2),
        [(books.funded, -1), (books.third, 1)],
        [(books.funded, -2), (books.other, 1), (books.third, 1)],
        [(books.other, 1), (books.euros, -1)],
    ):
        for first, second in ((requested, posted), (posted, requested)):
            with (
                pytest.raises(errors.CheckViolation),
                psql(database_url) as connection,
            ):
                add_posting(connection, add_journal(connection, books.merchant_id, first), second)


def test_accounts_of_others_are_refused(books: Books, database_url: str) -> None:
    stranger = open_account(books.begin, add_merchant(books.begin))
    for id in (stranger, fee_account_id("USD")):
        legs = [(books.funded, -1), (id, 1)]
        with (
            pytest.raises(errors.CheckViolation, match="does not match the ledger"),
            psql(database_url) as connection,
        ):
            add_posting(connection, add_journal(connection, books.merchant_id, legs), legs)
    legs = [(world_account_id("USD"), -1), (books.other, 1)]
    with (
        pytest.raises(errors.CheckViolation, match="does not match the ledger"),
        psql(database_url) as connection,
    ):
        add_posting(connection, add_journal(connection, books.merchant_id, legs), legs)


def test_reversal_that_does_not_negate_is_refused(books: Books, database_url: str) -> None:
    original = books.post((books.funded, -5), (books.other, 5))
    reversal = books.reverse(books.post((books.funded, -3), (books.other, 3)))
    stranger = Books(books.begin)
    theirs = stranger.transfer(5)
    negated = [(books.funded, 5), (books.other, -5)]
    for legs, reverses_id in (
        ([(books.funded, 4), (books.other, -4)], original.id),
        ([(books.funded, -5), (books.other, 5)], original.id),
        (negated, theirs.id),
        (negated, IDS.new_id()),
        ([(books.funded, -3), (books.other, 3)], reversal.id),
    ):
        with (
            pytest.raises(errors.CheckViolation, match="does not match the ledger"),
            psql(database_url) as connection,
        ):
            id = add_journal(connection, books.merchant_id, legs, reverses_id=reverses_id)
            add_posting(connection, id, legs)
    books.reverse(original)
    with (
        pytest.raises(errors.UniqueViolation, match="journal_transactions_reversed_once"),
        psql(database_url) as connection,
    ):
        add_journal(connection, books.merchant_id, negated, reverses_id=original.id)


def test_entries_of_each_currency_must_balance(books: Books, database_url: str) -> None:
    legs = [(books.funded, -1), (books.other_euros, 1)]
    with (
        pytest.raises(errors.CheckViolation, match="does not balance"),
        psql(database_url) as connection,
    ):
        add_posting(connection, add_journal(connection, books.merchant_id, legs), legs)


def test_posted_transactions_are_final(books: Books, database_url: str) -> None:
    posted = books.transfer(1)
    for statement in (
        b"UPDATE journal_transactions SET description = 'x'",
        b"UPDATE journal_transactions SET status = 'POSTED'",
        b"DELETE FROM journal_transactions",
        b"TRUNCATE journal_transactions",
        b"UPDATE journal_entries SET amount = amount",
        b"DELETE FROM journal_entries",
        b"TRUNCATE journal_entries",
    ):
        with pytest.raises(errors.RestrictViolation), psql(database_url) as connection:
            connection.execute(statement)
    with (
        pytest.raises(errors.CheckViolation, match="which is not new"),
        psql(database_url) as connection,
    ):
        connection.execute(
            b"INSERT INTO journal_entries VALUES (%s, %s, 2, 5, %s)",
            (posted.id, books.third, posted.created_at),
        )


def test_statement_that_mixes_kinds_is_refused(books: Books, database_url: str) -> None:
    posted = books.transfer(1)
    rows = [(IDS.new_id(), "payment"), (IDS.new_id(), "journal")]
    for first, second in (rows, rows[::-1]):
        with (
            pytest.raises(errors.ForeignKeyViolation),
            psql(database_url) as connection,
        ):
            connection.execute(
                b"""INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
                    SELECT id, id, kind, now() FROM unnest(%s::uuid[], %s::text[]) AS new (id, kind)
                """,
                ([first[0], second[0]], [first[1], second[1]]),
            )
    assert books.get(posted) == posted


def test_subject_of_a_journal_posting_is_its_own_id(books: Books, database_url: str) -> None:
    posted = books.transfer(1)
    with pytest.raises(errors.CheckViolation), psql(database_url) as connection:
        connection.execute(
            b"""INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
                VALUES (%s, %s, 'journal', now())""",
            (IDS.new_id(), posted.id),
        )
