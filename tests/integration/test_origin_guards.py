"""What PostgreSQL itself refuses of origins, and rows from before they were recorded."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import PaymentLookup
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.ledger import NewAccount
from support import IDS, Store, add_merchant, build_application, build_payment

KEY = Origin(ActorType.KEY, UUID(int=1), "192.0.2.1", "r-1", UUID(int=2))
MIGRATION = "0016.origins"

NEW_ROWS = {
    "payments": sql.SQL(
        "INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,"
        " {columns}) SELECT gen_random_uuid(), merchant_id, account_id, 1, currency, source, '',"
        " {values} FROM payments LIMIT 1"
    ),
    "refunds": sql.SQL(
        "INSERT INTO refunds (id, payment_id, merchant_id, account_id, currency, amount, {columns})"
        " SELECT gen_random_uuid(), id, merchant_id, account_id, currency, 1, {values}"
        " FROM payments LIMIT 1"
    ),
    "events": sql.SQL(
        "INSERT INTO events (merchant_id, type, payment_id, status, occurred_at, {columns})"
        " SELECT merchant_id, 'payment.resolved', id, 'PROCESSING', now(), {values}"
        " FROM payments LIMIT 1"
    ),
}
REFUSED: dict[str, dict[str, object]] = {
    "a key without an id": {"actor": "key"},
    "a session without an id": {"actor": "session"},
    "a key with an operator's name": {"actor": "key", "actor_id": KEY.actor_id, "operator": "Ada"},
    "an operator with an id": {"actor": "operator", "actor_id": KEY.actor_id},
    "an operator without letters": {"actor": "operator", "operator": ""},
    "a long name": {"actor": "operator", "operator": "x" * 401},
    "an unknown actor": {"actor": "visitor"},
    "an unknown actor with an id": {"actor": "anonymous", "actor_id": KEY.actor_id},
    "an id of nothing": {"actor_id": KEY.actor_id},
    "a request of no actor": {"server_request_id": KEY.server_request_id},
    "an address of no actor": {"client_address": "192.0.2.1"},
    "a name of no actor": {"operator": "Ada"},
}
ACCEPTED: dict[str, dict[str, object]] = {
    "a key": {"actor": "key", "actor_id": KEY.actor_id, "client_address": "2001:db8::1"},
    "a named operator": {"actor": "operator", "operator": "x" * 400},
    "a row from before": {"request_id": "r-1"},
}


@pytest.fixture
def payment_id(postgres_store: Store) -> UUID:
    """Of a payment with an open refund."""
    application = build_application(postgres_store.begin)
    merchant_id = add_merchant(postgres_store.begin)
    payment = application.payments.record(replace(build_payment(merchant_id), origin=KEY))
    application.settlement.settle()
    application.refunds.create(NewRefund(merchant_id, payment.id, 1, origin=KEY))
    return payment.id


def insert(connection: psycopg.Connection, table: str, values: dict[str, object]) -> None:
    statement = NEW_ROWS[table].format(
        columns=sql.SQL(", ").join(map(sql.Identifier, values)),
        values=sql.SQL(", ").join(sql.Literal(value) for value in values.values()),
    )
    connection.execute(statement)


@pytest.mark.usefixtures("payment_id")
@pytest.mark.parametrize("table", NEW_ROWS)
@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
def test_postgres_refuses_origin(database_url: str, table: str, values: dict[str, object]) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(errors.CheckViolation) as error:
        insert(connection, table, values)
    assert error.value.diag.constraint_name == f"{table}_actor_is_known"


@pytest.mark.usefixtures("payment_id")
@pytest.mark.parametrize("table", NEW_ROWS)
@pytest.mark.parametrize("values", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_postgres_accepts_origin(database_url: str, table: str, values: dict[str, object]) -> None:
    with psycopg.connect(database_url) as connection:
        insert(connection, table, values)


@pytest.mark.usefixtures("payment_id")
@pytest.mark.parametrize("table", ["payments", "refunds"])
@pytest.mark.parametrize(
    "change",
    [
        *("actor = 'session'", "actor_id = gen_random_uuid()", "client_address = '192.0.2.2'"),
        *("client_address = NULL", "server_request_id = NULL", "request_id = 'other'"),
        "actor = 'operator', actor_id = NULL, operator = 'Ada'",
    ],
)
def test_origin_is_final(database_url: str, table: str, change: str) -> None:
    statement = sql.SQL("UPDATE {} SET " + change).format(sql.Identifier(table))  # type: ignore[arg-type]
    with psycopg.connect(database_url) as connection, pytest.raises(errors.RestrictViolation):
        connection.execute(statement)


def test_row_from_before_was_made_by_an_unknown_key(
    postgres_store: Store, payment_id: UUID, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        insert(connection, "payments", {"request_id": "r-1"})
        row = connection.execute(
            "SELECT id, merchant_id FROM payments WHERE id <> %s", [payment_id]
        ).fetchone()
    assert row
    new_id, merchant_id = row
    [payment] = postgres_store.payment_store.find([PaymentLookup(merchant_id, new_id)])
    assert payment
    assert payment.origin == Origin(ActorType.KEY, request_id="r-1")


def test_rollback_keeps_what_keys_did_in_the_audit_log(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        application = build_application(store.begin)
        merchant_id = add_merchant(store.begin)
        application.payments.record(replace(build_payment(merchant_id), origin=KEY))
        account = application.accounts.open(NewAccount(merchant_id, "Till", "EUR", KEY))
        migrator = Migrator(url)
        while migrator.down() != MIGRATION:
            pass
        with psycopg.connect(url) as connection:
            kept = connection.execute("SELECT actor, actor_id FROM audit_log").fetchall()
            assert kept == [("key", KEY.actor_id)] * 2
            with pytest.raises(errors.CheckViolation):
                connection.execute(
                    "INSERT INTO audit_log (id, merchant_id, event, actor, actor_id)"
                    " VALUES (%s, %s, 'account_opened', 'key', %s)",
                    [IDS.new_id(), merchant_id, KEY.actor_id],
                )
        assert MIGRATION in list(migrator.up())
        [newest, _], _ = application.merchants.list_audit_events(merchant_id, None, 10)
        assert newest.details["accountId"] == str(account.id)
    finally:
        store.close()
