"""Ledger timestamps are the database's, whatever this process's clock shows; and they never fall
within an account."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.domain.lists import CreatedFilter
from support import HOUR, add_merchant, build_application, build_payment

AHEAD = timedelta(days=1)
SET_BACK = AHEAD - HOUR

# What statements call; defaults of columns are bound to the real functions already.
CLOCK = b"""
CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT pg_catalog.clock_timestamp() + interval '%d s' $$;
CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT pg_catalog.now() + interval '%d s' $$;
"""


def set_clock(connection: psycopg.Connection, ahead: timedelta) -> None:
    seconds = int(ahead.total_seconds())
    connection.execute(CLOCK % (seconds, seconds))


@pytest.fixture
def url(own_database: Callable[..., str], migrated: str) -> str:
    """A database whose clock is a day ahead of ours."""
    url = own_database(migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        set_clock(connection, AHEAD)
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog".encode())
    return url


@pytest.fixture
def store(url: str, settings_for: Callable[..., Settings]) -> Iterator[PostgresStore]:
    store = PostgresStore(Connections(settings_for(url)))
    yield store
    store.close()


def test_ledger_timestamps_come_from_the_database(store: PostgresStore, url: str) -> None:
    application = build_application(store.begin)
    application.payments.record(build_payment(add_merchant(store.begin)))
    before = datetime.now(UTC)
    assert application.settlement.settle() == 1
    after = datetime.now(UTC)
    with psycopg.connect(url) as connection:
        posted = connection.execute("SELECT posted_at FROM ledger_transactions").fetchone()
        settled = connection.execute("SELECT updated_at FROM payments").fetchone()
    for moment in (posted, settled):
        assert moment
        assert before + AHEAD <= moment[0] <= after + AHEAD
    assert application.ledger.verify().is_clean


def test_setting_the_clock_back_skips_no_entry(store: PostgresStore, url: str) -> None:
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    for ahead in (AHEAD, SET_BACK, SET_BACK):
        with psycopg.connect(url, autocommit=True) as connection:
            set_clock(connection, ahead)
        payment = application.payments.record(build_payment(merchant_id))
        assert application.settlement.settle() == 1
    assert application.ledger.verify().is_clean

    def list_entries(filter: CreatedFilter) -> list[int]:
        page = application.accounts.list_entries(merchant_id, payment.account_id, filter, None, 10)
        return [entry.sequence for entry in page.items]

    with store.begin() as work:
        [transaction] = work.ledger.list_by_payment(payment.id)
        now = work.now()
    assert transaction.posted_at > now, "the time of the first entry, before the clock was set back"
    assert list_entries(CreatedFilter(created_from=now)) == [3, 2, 1]
    assert list_entries(CreatedFilter(created_to=now)) == []


def test_entries_older_than_migration_0012_come_first(store: PostgresStore, url: str) -> None:
    """Their accounts do not store the time of the last entry."""
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    first = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE accounts SET last_posted_at = NULL")
        set_clock(connection, SET_BACK)
    assert application.ledger.verify().is_clean
    second = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    with store.begin() as work:
        [before] = work.ledger.list_by_payment(first.id)
        [after] = work.ledger.list_by_payment(second.id)
    assert before.posted_at == after.posted_at
    assert application.ledger.verify().is_clean
