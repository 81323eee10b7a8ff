"""What PostgreSQL refuses of accounts, even from psql: statuses, limits and terms."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from account_scenarios import CLOSED, FROZEN, change, open_with_terms
from atomic_core.domain.accounts import AccountStatus, world_account_id
from integration.test_journal_guards import add_journal, add_posting
from journal_scenarios import FUNDS, Books
from support import Store


@contextmanager
def psql(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is committed at the end."""
    with closing(psycopg.connect(url)) as connection:
        yield connection
        connection.commit()


@pytest.fixture
def books(postgres_store: Store) -> Books:
    return Books(postgres_store.begin)


def set_status(books: Books, account_id: UUID, status: AccountStatus) -> None:
    change(books.application, books.merchant_id, account_id, status=status)


def transfer(connection: psycopg.Connection, books: Books, source: UUID, target: UUID) -> None:
    legs = [(source, -1), (target, 1)]
    add_posting(connection, add_journal(connection, books.merchant_id, legs), legs)


@pytest.mark.parametrize("status", [FROZEN, CLOSED])
def test_entry_of_an_account_that_is_not_open_is_refused(
    books: Books, database_url: str, status: AccountStatus
) -> None:
    set_status(books, books.other, status)
    with (
        pytest.raises(errors.CheckViolation, match="of an account that is frozen or closed"),
        psql(database_url) as connection,
    ):
        transfer(connection, books, books.funded, books.other)
    with psql(database_url) as connection:
        transfer(connection, books, books.funded, books.third)
    assert books.get_balances()[:3] == [FUNDS - 1, 0, 1]


def test_hold_in_a_frozen_account_is_refused(books: Books, database_url: str) -> None:
    set_status(books, books.other, FROZEN)
    legs = [(books.funded, -1), (books.other, 1)]
    with (
        pytest.raises(errors.RestrictViolation, match="nothing is reserved"),
        psql(database_url) as connection,
    ):
        id = add_journal(connection, books.merchant_id, legs)
        connection.execute(
            b"""INSERT INTO journal_holds (transaction_id, account_id, amount, placed_at)
                SELECT transaction_id, account_id, amount, now() FROM journal_entries
                 WHERE transaction_id = %s""",
            (id,),
        )


@pytest.mark.parametrize("pending", [False, True])
def test_account_that_is_not_empty_is_not_closed(
    books: Books, database_url: str, *, pending: bool
) -> None:
    if pending:
        books.reserve(1)
    with (
        pytest.raises(errors.CheckViolation, match="is closed with a balance or pending amounts"),
        psql(database_url) as connection,
    ):
        connection.execute(
            b"UPDATE accounts SET status = 'CLOSED', status_changed_at = now() WHERE id = %s",
            (books.other if pending else books.funded,),
        )


def test_account_is_filled_and_closed_in_one_transaction_in_vain(
    books: Books, database_url: str
) -> None:
    with (
        pytest.raises(errors.CheckViolation, match=r"frozen or closed|closed with a balance"),
        psql(database_url) as connection,
    ):
        transfer(connection, books, books.funded, books.other)
        connection.execute(
            b"UPDATE accounts SET status = 'CLOSED', status_changed_at = now() WHERE id = %s",
            (books.other,),
        )


def test_posting_beyond_a_limit_is_refused(books: Books, database_url: str) -> None:
    low = open_with_terms(books.application, books.merchant_id, min_balance=-1)
    high = open_with_terms(books.application, books.merchant_id, max_balance=1)
    with psql(database_url) as connection:
        transfer(connection, books, low, high)
    for source, target in ((low, books.other), (books.funded, high)):
        with pytest.raises(errors.CheckViolation) as error, psql(database_url) as connection:
            transfer(connection, books, source, target)
        assert error.value.diag.constraint_name == "accounts_balance_in_bounds"


CHANGES = {
    "type": "type = 'asset'",
    "minimum": "min_balance = -1",
    "no minimum": "min_balance = NULL",
    "maximum": "max_balance = 5",
    "external id": "external_id = 'x'",
    "goes negative": "allow_negative = true",
}


@pytest.mark.parametrize("assignment", CHANGES.values(), ids=CHANGES)
def test_terms_of_an_account_are_final(books: Books, database_url: str, assignment: str) -> None:
    with pytest.raises(errors.RestrictViolation), psql(database_url) as connection:
        statement = f"UPDATE accounts SET {assignment} WHERE id = %s"
        connection.execute(statement.encode(), (books.other,))


INSERTS = {
    "frozen": ("status, status_changed_at", "'FROZEN', now()", errors.RestrictViolation),
    "unknown status": ("status", "'GONE'", errors.RestrictViolation),
    "minimum above zero": ("min_balance", "1", errors.CheckViolation),
    "maximum below zero": ("max_balance", "-1", errors.CheckViolation),
    "empty external id": ("external_id", "''", errors.CheckViolation),
    "negative without World": ("allow_negative", "true", errors.CheckViolation),
    "unknown type": ("type", "'income'", errors.CheckViolation),
}


@pytest.mark.parametrize(("column", "value", "error"), INSERTS.values(), ids=INSERTS)
def test_account_with_impossible_terms_is_refused(
    books: Books, database_url: str, column: str, value: str, error: type[psycopg.Error]
) -> None:
    with pytest.raises(error), psql(database_url) as connection:
        statement = (
            f"INSERT INTO accounts (id, merchant_id, name, currency, head, {column})"
            f" VALUES (uuidv7(), %s, 'x', 'USD', '', {value})"
        )
        connection.execute(statement.encode(), (books.merchant_id,))


@pytest.mark.parametrize(
    "assignment",
    [
        "status = 'FROZEN', status_changed_at = now()",
        "max_balance = 5",
        "external_id = 'x'",
        "metadata = '{}'",
    ],
)
def test_system_account_has_no_terms(books: Books, database_url: str, assignment: str) -> None:
    assert books.merchant_id
    with (
        pytest.raises((errors.CheckViolation, errors.RestrictViolation)),
        psql(database_url) as connection,
    ):
        statement = f"UPDATE accounts SET {assignment} WHERE id = %s"
        connection.execute(statement.encode(), (world_account_id("USD"),))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account_metadata SET value = 'x'",
        "DELETE FROM account_metadata",
        "TRUNCATE account_metadata",
        "INSERT INTO account_metadata VALUES (uuidv7(), 'a', 'b', now(), uuidv7())",
    ],
)
def test_metadata_by_pair_follows_accounts(books: Books, database_url: str, statement: str) -> None:
    open_with_terms(books.application, books.merchant_id, metadata={"a": "b"})
    with pytest.raises(errors.RestrictViolation), psql(database_url) as connection:
        connection.execute(statement.encode())
