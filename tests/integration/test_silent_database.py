"""A database server that is frozen keeps its connections open and does not respond. Every caller
gives up after a while, and finds the server again when it goes on."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from structlog.testing import capture_logs

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.roles import create_roles
from atomic_adapters.postgres import PostgresStore, connections
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_adapters.postgres.unit_of_work import PostgresUnitOfWork
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import StorageUnavailable
from processes import as_application, wait_until
from support import IDS, add_merchant

GUARD_SECONDS = 60

SILENCE_SECONDS = 0.5

THAW_SECONDS = 30
"""Many times SILENCE_SECONDS, for a busy machine."""


@pytest.fixture(scope="module")
def server(scratch: Path) -> Iterator[EmbeddedPostgres]:
    """Of this file: freezing it stops every database on it."""
    server = EmbeddedPostgres.start(scratch / "silent", durable=False)
    create_roles(server)
    Migrator(server.create_database("silent")).up()
    yield server
    server.stop()


@pytest.fixture
def pool(server: EmbeddedPostgres, settings_for: Callable[..., Settings]) -> Iterator[Connections]:
    settings = settings_for(as_application(server.url("silent")), DATABASE_POOL="3")
    pool = Connections(settings)
    yield pool
    pool.close()


@pytest.fixture
def store(pool: Connections) -> PostgresStore:
    return PostgresStore(pool)


@contextmanager
def frozen(server: EmbeddedPostgres, *limited: LimitedConnection) -> Iterator[None]:
    """Meanwhile these connections, and those that begin a transaction, wait for SILENCE_SECONDS
    only: a server that runs may take longer on a busy machine. Who has not given up after
    THAW_SECONDS gets a response, so that the test fails instead of hanging."""
    postmaster = psutil.Process(server.process.pid)
    processes = [postmaster]

    def thaw() -> None:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)

    timer = threading.Timer(THAW_SECONDS, thaw)
    postmaster.suspend()
    try:
        for child in postmaster.children():
            processes.append(child)
            with suppress(psutil.NoSuchProcess):
                child.suspend()
        timer.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections, "BEGIN_SECONDS", SILENCE_SECONDS)
            for connection in limited:
                connection.response_seconds = SILENCE_SECONDS
            yield
    finally:
        timer.cancel()
        thaw()


def await_recovery(store: PostgresStore) -> None:
    wait_until(store.is_up, GUARD_SECONDS, "the database is found again")
    add_merchant(store.begin)


def test_callers_give_up_and_find_the_server_again(
    server: EmbeddedPostgres, store: PostgresStore
) -> None:
    merchant_id = add_merchant(store.begin)
    with capture_logs() as logs, frozen(server):
        with pytest.raises(StorageUnavailable), store.begin() as work:
            work.merchants.get(merchant_id)
        assert not store.is_up()
    assert "database does not respond" in [log["event"] for log in logs]
    await_recovery(store)


def test_statement_is_given_up_and_its_connection_closed(
    server: EmbeddedPostgres, pool: Connections, store: PostgresStore
) -> None:
    """A later statement would read the answer to the one that was given up."""
    with pool.autocommit() as connection:
        with frozen(server, connection), pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        assert connection.closed
    await_recovery(store)


def test_commit_without_a_response_is_unavailable(
    server: EmbeddedPostgres, pool: Connections, store: PostgresStore
) -> None:
    with (
        pytest.raises(StorageUnavailable),
        pool.transaction() as connection,
        DatabaseSession(connection).open() as session,
    ):
        work = PostgresUnitOfWork(session)
        work.merchants.add(IDS.new_id(), "Shop")
        with frozen(server, connection):
            work.commit()
    await_recovery(store)


def test_other_connections_of_the_pool_are_not_tried_one_by_one(
    server: EmbeddedPostgres, store: PostgresStore
) -> None:
    with store.begin() as first, store.begin() as second, store.begin() as third:
        for work in (first, second, third):
            work.now()
    with capture_logs() as logs, frozen(server), pytest.raises(StorageUnavailable):
        add_merchant(store.begin)
    silent = [log for log in logs if log["event"] == "database does not respond"]
    assert len(silent) == 1
    await_recovery(store)


def test_worker_registration_is_given_up(server: EmbeddedPostgres, pool: Connections) -> None:
    liveness = PostgresWorkerLiveness(pool)
    try:
        with frozen(server):
            assert liveness.worker_id() is None
        wait_until(lambda: liveness.worker_id() is not None, GUARD_SECONDS, "it registers")
    finally:
        liveness.close()


def test_verification_may_take_longer(pool: Connections, store: PostgresStore) -> None:
    """Its statements have an hour, and so has their response."""
    with pool.transaction() as connection:
        session, limit = DatabaseSession(connection), connection.response_seconds
        session.execute(b"SELECT set_config('statement_timeout', '60s', true)")
        with session.allow_long_statements(60):
            assert session.fetch_one(b"SELECT 1 FROM pg_sleep(1)") == (1,)
        assert connection.response_seconds == limit
    with store.begin() as work:
        assert work.ledger.verify().is_clean
