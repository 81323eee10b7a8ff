"""What PostgreSQL itself refuses when old events are deleted; and migration 0020."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.postgres.migrations import Migrator
from atomic_core.use_cases.ledger import NewAccount
from integration.psql_session import Execute, either_way, execute_in_trigger
from processes import as_application
from support import Store, add_merchant, build_application

YOUNG, OLD = timedelta(days=29), timedelta(days=31)

DELETE_FIRST = b"DELETE FROM events WHERE sequence = 1"

ENDPOINT = b"""
INSERT INTO webhook_endpoints (id, merchant_id, url, secret, status, disabled_reason, position,
                               target)
VALUES (%(merchant)s, %(merchant)s, 'https://shop.example/', '', """

DELIVERY = b"""
INSERT INTO webhook_deliveries (endpoint_id, merchant_id, event_id, sequence, type, url, status,
                                attempts, retries)
VALUES (%(merchant)s, %(merchant)s, %(merchant)s, 1, 'payment.failed', '/', 'failed', 1, 0); """

REFUSED = {
    "an event after one that is kept": b"DELETE FROM events WHERE sequence = 2",
    "the last event of a stream": b"DELETE FROM events",
    "an event that an enabled endpoint has not passed": (
        ENDPOINT + b"'enabled', NULL, 0, 3); " + DELETE_FIRST
    ),
    "an event of a delivery": (ENDPOINT + b"'disabled', 'gone', 3, 3); " + DELIVERY + DELETE_FIRST),
    "two streams, of which one is refused": (
        b"DELETE FROM events WHERE sequence <= 1 OR merchant_id = %(other)s"
    ),
}
ACCEPTED = {
    "the beginning": DELETE_FIRST,
    "all but the last": b"DELETE FROM events WHERE sequence <= 2",
    "an event that each endpoint has passed": (
        ENDPOINT + b"'enabled', NULL, 1, 3); " + DELETE_FIRST
    ),
    "an event that a disabled endpoint has not passed": (
        ENDPOINT + b"'disabled', 'gone', 0, 3); " + DELETE_FIRST
    ),
}


def add_stream(store: Store, age: timedelta) -> UUID:
    """Three events of this age."""
    merchant_id = add_merchant(store.begin)
    for number in range(3):
        build_application(store.begin).accounts.open(
            NewAccount(merchant_id, f"Account {number}", "USD")
        )
    store.tampering.age_events(merchant_id, 3, age)
    return merchant_id


@pytest.fixture
def ids(postgres_store: Store) -> dict[str, object]:
    return {
        "merchant": add_stream(postgres_store, OLD),
        "other": add_stream(postgres_store, OLD),
    }


@either_way
@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_postgres_refuses_to_delete(
    ids: dict[str, object], database_url: str, statement: bytes, execute: Execute
) -> None:
    with psycopg.connect(database_url) as connection:
        with pytest.raises(errors.RestrictViolation):
            # A trigger executes several statements as one.
            is_one = execute is execute_in_trigger
            for part in [statement] if is_one else statement.split(b"; "):
                execute(connection, part, ids)
        connection.rollback()


@pytest.mark.parametrize("statement", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_postgres_deletes_what_is_old_and_not_needed(
    ids: dict[str, object], database_url: str, statement: bytes
) -> None:
    with psycopg.connect(database_url) as connection:
        for part in statement.split(b"; "):
            connection.execute(part, ids)


def test_young_events_cannot_be_deleted_by_the_application(
    postgres_store: Store, database_url: str
) -> None:
    young, old = add_stream(postgres_store, YOUNG), add_stream(postgres_store, OLD)
    statement = b"DELETE FROM events WHERE merchant_id = %s AND sequence = 1"
    with psycopg.connect(as_application(database_url)) as connection:
        assert connection.execute(statement, [old]).rowcount == 1
        with pytest.raises(errors.RestrictViolation, match="30 days"):
            connection.execute(statement, [young])
        connection.rollback()


def test_migration_can_be_rolled_back_and_repeated(
    own_database: Callable[..., str], migrated: str
) -> None:
    migrator = Migrator(own_database(migrated))
    while migrator.down() != "0020.retention":
        pass
    assert "0020.retention" in migrator.up()
