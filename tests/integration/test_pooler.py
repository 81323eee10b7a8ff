"""A pooler in transaction mode, PgBouncer: each transaction may run in another session."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from atomic_adapters.environ import SettingsError
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.postgres.pooler_check import check_pooler, check_sessions, has_shared_sessions
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import StorageRefused, StorageUnavailable
from pgbouncer import PgBouncer, run_pgbouncer
from processes import as_application
from support import add_merchant, build_application, build_payment

CLIENTS = 8
POOL_SIZE = 3
"""Fewer sessions than clients: they change hands all the time."""


@pytest.fixture(scope="module")
def pgbouncer(shared_database_url: str, scratch: Path) -> Iterator[PgBouncer]:
    with run_pgbouncer(shared_database_url, scratch / "pooler", pool_size=POOL_SIZE) as pgbouncer:
        yield pgbouncer


@pytest.fixture
def pooled_url(pgbouncer: PgBouncer, database_url: str) -> str:
    return pgbouncer.route(database_url)


@pytest.fixture
def pooled(pooled_url: str, settings_for: Callable[..., Settings]) -> Iterator[Connections]:
    settings = settings_for(pooled_url, DATABASE_POOLER="transaction", DATABASE_POOL=str(CLIENTS))
    with closing(Connections(settings)) as connections:
        yield connections


def test_pooler_in_transaction_mode_is_detected(pooled_url: str, database_url: str) -> None:
    assert has_shared_sessions(pooled_url)
    assert not has_shared_sessions(database_url)


def test_pooler_is_detected_while_others_use_it(pooled_url: str) -> None:
    """Then a connection may get back the session that it had."""
    with psycopg.connect(pooled_url, prepare_threshold=None) as other:
        other.execute("SELECT 1")
        assert has_shared_sessions(pooled_url)


@pytest.mark.parametrize("pool_size", [1, 4])
def test_pooler_in_session_mode_is_no_obstacle(
    database_url: str, scratch: Path, pool_size: int
) -> None:
    folder = scratch / f"session-pooler-{pool_size}"
    with run_pgbouncer(database_url, folder, mode="session", pool_size=pool_size) as pgbouncer:
        assert not has_shared_sessions(pgbouncer.route(database_url))


def test_api_is_refused_unless_the_pooler_is_a_setting(
    pooled_url: str, settings_for: Callable[..., Settings]
) -> None:
    with pytest.raises(SettingsError, match="DATABASE_POOLER=transaction"):
        check_pooler(settings_for(pooled_url))
    check_pooler(settings_for(pooled_url, DATABASE_POOLER="transaction"))


def test_worker_is_refused_without_a_direct_url(
    pooled_url: str, database_url: str, settings_for: Callable[..., Settings]
) -> None:
    pooled = settings_for(pooled_url, DATABASE_POOLER="transaction")
    undeclared = settings_for(pooled_url)
    wrong = settings_for(
        pooled_url, DATABASE_POOLER="transaction", DATABASE_DIRECT_URL=as_application(pooled_url)
    )
    for settings, start in (
        (pooled, "DATABASE_DIRECT_URL: expected"),
        (undeclared, "DATABASE_URL: leads"),
        (wrong, "DATABASE_DIRECT_URL: leads"),
    ):
        with pytest.raises(SettingsError, match=f"^{start}"):
            check_sessions(settings.with_direct_database(), "A worker holds a lock")
    right = settings_for(
        pooled_url, DATABASE_POOLER="transaction", DATABASE_DIRECT_URL=as_application(database_url)
    )
    check_sessions(right.with_direct_database(), "A worker holds a lock")


def test_worker_leaves_no_lock_in_a_session_of_the_pooler(
    pooled_url: str, database_url: str, settings_for: Callable[..., Settings]
) -> None:
    """Also if the pooler was not there when the worker started."""
    with closing(Connections(settings_for(pooled_url))) as connections:
        liveness = PostgresWorkerLiveness(connections)
        with closing(liveness), capture_logs() as logs:
            assert liveness.worker_id() is None
    assert "pooler in transaction mode refused" in [log["event"] for log in logs]
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    assert row == (0,)


def test_migrations_are_refused(pgbouncer: PgBouncer, database_url: str) -> None:
    with pytest.raises(StorageRefused, match="pooler in transaction mode"):
        Migrator(pgbouncer.route(database_url)).status()


def test_settings_apply_to_each_transaction_and_are_left_to_nobody(
    pooled: Connections, pooled_url: str
) -> None:
    query = "SELECT current_setting('lock_timeout'), current_setting('jit')"
    with pooled.transaction() as connection:
        assert connection.execute(query).fetchone() == ("3s", "off")
        names = connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
    assert names == []
    with pooled.autocommit() as connection:
        assert connection.execute(query).fetchone() == ("3s", "off")
    with psycopg.connect(pooled_url, prepare_threshold=None) as connection:
        assert connection.execute(query).fetchone() == ("0", "on")


def test_snapshot_has_the_settings_and_does_not_write(pooled: Connections) -> None:
    """Of the dashboard and of verification."""
    with pooled.transaction() as connection:
        DatabaseSession(connection).use_one_snapshot()
        query = (
            "SELECT current_setting('transaction_isolation'),"
            " current_setting('transaction_read_only'), current_setting('lock_timeout')"
        )
        assert connection.execute(query).fetchone() == ("repeatable read", "on", "3s")


def test_concurrent_clients_are_served(pooled: Connections) -> None:
    store = PostgresStore(pooled)
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)

    def pay(amount: int) -> None:
        payment = application.payments.record(build_payment(merchant_id, amount))
        assert application.payments.get(merchant_id, payment.id).money.amount == amount

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(pay, range(1, 201)))
    assert store.is_up()
    application.settlement.settle()
    report = application.ledger.verify()
    assert (report.is_clean, report.payments, report.transactions) == (True, 200, 200)


def test_undeclared_pooler_answers_unavailable_or_right(
    pooled_url: str, settings_for: Callable[..., Settings]
) -> None:
    """With DATABASE_POOLER=none: no statement of another client is executed, and no error is one
    that a caller gets as 500."""
    settings = settings_for(pooled_url, DATABASE_POOL=str(CLIENTS))
    with closing(Connections(settings)) as connections:
        store = PostgresStore(connections)
        application = build_application(store.begin)
        merchant_id = None
        while merchant_id is None:
            try:
                merchant_id = add_merchant(store.begin)
            except StorageUnavailable:
                continue

        def pay(amount: int) -> bool:
            try:
                application.payments.record(build_payment(merchant_id, amount))
            except StorageUnavailable:
                return False
            return True

        with ThreadPoolExecutor(CLIENTS) as threads:
            results = list(threads.map(pay, range(1, 201)))
        if not connections.are_sessions_kept:
            assert not store.is_up(), "it is not ready while requests may fail"
    assert any(results)
