"""Totals of payments in PostgreSQL: concurrent transactions, days, correction and migration."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.embedded.roles import OWNER_ROLE
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.credentials import Credentials
from atomic_core.domain.dashboard import PaymentTotal
from migration_scripts import apply_alone, roll_back_alone
from processes import as_role, wait_until
from support import (
    IDS,
    Store,
    add_merchant,
    build_application,
    build_payment,
    open_account,
    run_concurrently,
)

SLOTS = 16
MIGRATION = "0017.payment-totals"

FAIL = "UPDATE payments SET status = 'FAILED', failure_reason = 'card_declined' WHERE id = %s"

INSERT = """
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                      created_at)
SELECT %(id)s, %(merchant_id)s, %(account_id)s, %(amount)s, 'USD', 'tok_visa', 'API Payment',
       date_trunc('day', now(), 'UTC') + %(age)s::interval
"""

COUNT = "SELECT coalesce(sum(payments), 0)::bigint FROM payment_totals"


class Shop:
    """A merchant with an account and credentials."""

    def __init__(self, store: Store) -> None:
        self.application = build_application(store.begin)
        self.merchant_id = add_merchant(store.begin)
        self.account_id = open_account(store.begin, self.merchant_id)
        email = f"{self.merchant_id}@shop.example"
        with store.begin() as work:
            work.sessions.add_credentials(
                Credentials(self.merchant_id, email, "$argon2id$", self.account_id)
            )
            work.commit()

    def record_payments(self, count: int) -> list[UUID]:
        record = self.application.payments.record
        return [record(build_payment(self.merchant_id)).id for _ in range(count)]

    def insert_payment(self, connection: psycopg.Connection, age: str, amount: int) -> UUID:
        """Insert a payment that is `age` away from midnight."""
        id = IDS.new_id()
        parameters = {"id": id, "merchant_id": self.merchant_id, "account_id": self.account_id}
        connection.execute(INSERT, {**parameters, "amount": amount, "age": age})
        return id


@pytest.fixture
def shop(postgres_store: Store) -> Shop:
    return Shop(postgres_store)


def assert_ledger_is_clean(application: Application) -> None:
    report = application.ledger.verify()
    assert report.is_clean, report.findings


def test_transactions_of_one_merchant_do_not_wait_for_totals(shop: Shop, database_url: str) -> None:
    """Also if there are more of them than slots, and whichever ends first."""
    count = SLOTS + 4
    with ExitStack() as stack:
        connections = [
            stack.enter_context(psycopg.connect(database_url, options="-c lock_timeout=1s"))
            for _ in range(count)
        ]
        payment_ids = shop.record_payments(2 * count)
        for connection, id in zip(connections, payment_ids[:count], strict=True):
            connection.execute(FAIL, [id])
        # In the opposite order, while all of them have changed the same total.
        for connection, id in zip(connections[::-1], payment_ids[count:], strict=True):
            connection.execute(FAIL, [id])
        for number, connection in enumerate(connections):
            if number % 4:
                connection.commit()
            else:
                connection.rollback()
    with psycopg.connect(database_url) as connection:
        assert connection.execute(COUNT).fetchone() == (2 * count * 3 // 4,)
    assert_ledger_is_clean(shop.application)


def test_number_of_rows_does_not_grow_with_sessions(shop: Shop, database_url: str) -> None:
    for id in shop.record_payments(SLOTS + 4):
        with psycopg.connect(database_url) as connection:
            connection.execute(FAIL, [id])
    with psycopg.connect(database_url) as connection:
        slots = connection.execute("SELECT slot FROM payment_totals").fetchall()
    assert {slot for (slot,) in slots} <= set(range(SLOTS))


def test_days_begin_at_midnight_utc(shop: Shop, database_url: str) -> None:
    """In which time zone a session is, does not matter."""
    ages = {"0 s": 1, "-1 us": 20, "-29 days": 300, "-29 days -1 us": 4_000}
    with psycopg.connect(database_url, options="-c timezone=Pacific/Kiritimati") as connection:
        for age, amount in ages.items():
            connection.execute(FAIL, [shop.insert_payment(connection, age, amount)])
            shop.insert_payment(connection, age, 5 * amount)
    dashboard = shop.application.merchants.get_dashboard(shop.merchant_id)
    assert list(dashboard.today) == [
        PaymentTotal("FAILED", "USD", 1, 1),
        PaymentTotal("PENDING", "USD", 1, 5),
    ]
    assert list(dashboard.last_30_days) == [
        PaymentTotal("FAILED", "USD", 3, 321),
        PaymentTotal("PENDING", "USD", 3, 5 * 321),
    ]
    assert_ledger_is_clean(shop.application)


# --- Correction.


def correct(url: str) -> int:
    with psycopg.connect(url, options="-c lock_timeout=20s") as connection:
        row = connection.execute("SELECT correct_payment_totals()").fetchone()
    assert row
    return row[0]


def test_correction_neither_waits_for_payments_nor_counts_them_twice(
    shop: Shop, postgres_store: Store, database_url: str
) -> None:
    first, second, third = shop.record_payments(3)
    with psycopg.connect(database_url) as open_transaction:
        open_transaction.execute(FAIL, [first])
        with psycopg.connect(database_url) as connection:
            connection.execute(FAIL, [second])
        postgres_store.tampering.delete_totals(shop.merchant_id)
        assert correct(database_url) == 1
        open_transaction.execute(FAIL, [third])
    assert_ledger_is_clean(shop.application)
    assert correct(database_url) == 0


def test_concurrent_corrections_correct_once(
    shop: Shop, postgres_store: Store, database_url: str
) -> None:
    shop.record_payments(2)
    shop.application.settlement.settle()
    postgres_store.tampering.delete_totals(shop.merchant_id)
    with psycopg.connect(database_url) as first, ThreadPoolExecutor(1) as threads:
        assert first.execute("SELECT correct_payment_totals()").fetchone() == (1,)
        second = threads.submit(correct, database_url)
        wait_until(lambda: is_correction_waiting(database_url), 60, "the second waits")
        first.commit()
        assert second.result() == 0
    assert_ledger_is_clean(shop.application)


def is_correction_waiting(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%correct_payment_totals%' AND pid <> pg_backend_pid()"
        ).fetchone()
    return row is not None


# --- The migration, while payments flow.


@pytest.fixture
def old_database(
    own_database: Callable[..., str], migrated: str, settings_for: Callable[..., Settings]
) -> Iterator[tuple[str, Application]]:
    """A database without totals, with settled payments, and the application on it."""
    # As the owner: without the migration its grants are missing.
    url = as_role(own_database(migrated), OWNER_ROLE)
    roll_back_alone(url, MIGRATION)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        application = build_application(store.begin)
        merchant_id = add_merchant(store.begin)
        open_account(store.begin, merchant_id)
        for _ in range(3):
            application.payments.record(build_payment(merchant_id))
        application.settlement.settle()
        application.payments.record(build_payment(merchant_id))
        yield url, application
    finally:
        store.close()


def test_migration_totals_what_was_there(old_database: tuple[str, Application]) -> None:
    url, application = old_database
    apply_alone(url, MIGRATION)
    with psycopg.connect(url) as connection:
        assert connection.execute(COUNT).fetchone() == (3,)
    assert_ledger_is_clean(application)
    application.settlement.settle()
    assert_ledger_is_clean(application)


def test_migration_totals_what_is_settled_meanwhile(
    old_database: tuple[str, Application],
) -> None:
    url, application = old_database
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT id, merchant_id FROM payments LIMIT 1").fetchone()
    assert row
    is_migrated, is_settling = threading.Event(), threading.Event()

    def settle_until_migrated() -> int:
        settled = 0
        while not is_migrated.is_set() or not settled:
            application.payments.record(build_payment(row[1]))
            settled += application.settlement.settle()
            is_settling.set()
        return settled

    def migrate() -> int:
        try:
            assert is_settling.wait(60)
            apply_alone(url, MIGRATION)
            return 1
        finally:
            is_migrated.set()

    settled, _ = run_concurrently([settle_until_migrated, migrate])
    with psycopg.connect(url) as connection:
        # With the three of before.
        assert connection.execute(COUNT).fetchone() == (3 + settled,)
    assert_ledger_is_clean(application)
