"""What the application's role cannot do, whatever its program does: PostgreSQL refuses it."""

from collections.abc import Callable

import psycopg
import pytest

from atomic_adapters.embedded.roles import OWNER_ROLE, READONLY_ROLE
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from integration.role_attacks import ATTACKS, READONLY_ATTACKS
from processes import as_application, as_role
from support import Store, add_merchant, build_application, build_payment

AMOUNT = 5_000


@pytest.fixture
def application(postgres_store: Store) -> Application:
    """With a settled payment that is partly refunded, one that is held, and one that is due."""
    application = build_application(postgres_store.begin)
    merchant_id = add_merchant(postgres_store.begin)
    plain = build_payment(merchant_id, AMOUNT)
    paid = application.payments.record(plain)
    manual = NewPayment(merchant_id, plain.money, plain.source, capture=CaptureMethod.MANUAL)
    application.payments.record(manual)
    application.settlement.settle()
    application.refunds.create(NewRefund(merchant_id, paid.id, 1_000))
    application.payments.record(plain)
    key = application.api_keys.issue(merchant_id, "till")
    application.api_keys.revoke(key.key.id)
    return application


def read_books(url: str) -> list[object]:
    """Everything that the attacks aim at, in one comparable value."""
    tables = ("entries", "ledger_transactions", "accounts", "payments", "refunds", "holds")
    with psycopg.connect(url) as connection:
        return [
            connection.execute(
                f"SELECT t::text FROM {table} t ORDER BY t::text".encode()
            ).fetchall()
            for table in (*tables, "events", "event_counters", "audit_log", "api_keys")
        ]


@pytest.mark.parametrize(("sqlstate", "script"), ATTACKS.values(), ids=ATTACKS.keys())
def test_postgres_refuses_what_the_application_must_not_do(
    application: Application, database_url: str, sqlstate: str, script: str
) -> None:
    before = read_books(database_url)
    *preparations, attack = (script,) if "$$" in script else script.split("; ")
    with (
        pytest.raises(psycopg.Error) as refusal,
        psycopg.connect(as_application(database_url), autocommit=True) as connection,
    ):
        for statement in (*preparations, attack):
            connection.execute(statement.encode())
    assert refusal.value.sqlstate == sqlstate, refusal.value
    assert read_books(database_url) == before
    assert not application.ledger.verify().findings


@pytest.mark.parametrize("statement", READONLY_ATTACKS.values(), ids=READONLY_ATTACKS.keys())
def test_readonly_role_changes_nothing_and_reads_no_secret(
    database_url: str, statement: str
) -> None:
    url = as_role(database_url, READONLY_ROLE)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_readonly_role_can_verify_the_books(
    application: Application, database_url: str, settings_for: Callable[..., Settings]
) -> None:
    url = as_role(database_url, READONLY_ROLE)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        report = build_application(store.begin).ledger.verify()
    finally:
        store.close()
    assert report.is_clean
    assert report.entries > 0


def test_owner_is_refused_by_the_guards(application: Application, database_url: str) -> None:
    """The triggers stay for the roles that privileges do not bind."""
    url = as_role(database_url, OWNER_ROLE)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(b"DELETE FROM entries")
