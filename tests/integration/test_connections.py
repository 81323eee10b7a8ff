"""PostgreSQL comes and goes; Atomic says so in its own words and finds it again."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.roles import create_roles
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import StorageRefused, StorageUnavailable
from processes import as_application, wait_until
from support import add_merchant, build_application, build_payment, run_concurrently


@pytest.fixture
def store(database_url: str, settings_for: Callable[..., Settings]) -> Iterator[PostgresStore]:
    store = PostgresStore(Connections(settings_for(database_url, DATABASE_POOL="4")))
    yield store
    store.close()


def cut_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_idle_connections_that_were_cut_are_replaced(
    store: PostgresStore, database_url: str
) -> None:
    run_concurrently([lambda: add_merchant(store.begin)] * 4)
    cut_connections(database_url)
    assert len(set(run_concurrently([lambda: add_merchant(store.begin)] * 4))) == 4


def test_sessions_compile_no_statements(
    database_url: str, settings_for: Callable[..., Settings]
) -> None:
    connections = Connections(settings_for(database_url))
    try:
        with connections.transaction() as connection:
            row = connection.execute("SHOW jit").fetchone()
    finally:
        connections.close()
    assert row == ("off",)


def test_cut_connection_rolls_back_the_unit_of_work(
    store: PostgresStore, database_url: str
) -> None:
    merchant_id = add_merchant(store.begin)
    with pytest.raises(StorageUnavailable), store.begin() as work:
        work.merchants.add_key(merchant_id, merchant_id, "key", "", bytes(32))
        cut_connections(database_url)
        work.commit()
    with store.begin() as work:
        assert work.merchants.list_keys(merchant_id) == []


def test_unreachable_database_is_reported(settings_for: Callable[..., Settings]) -> None:
    store = PostgresStore(Connections(settings_for("postgresql://localhost:1/none")))
    try:
        with pytest.raises(StorageUnavailable), store.begin():
            pass
        assert not store.is_up()
    finally:
        store.close()


def test_missing_schema_is_reported(
    own_database: Callable[..., str], settings_for: Callable[..., Settings]
) -> None:
    store = PostgresStore(Connections(settings_for(own_database())))
    try:
        with pytest.raises(StorageUnavailable, match="schema is not up to date"):
            add_merchant(store.begin)
    finally:
        store.close()


def test_statement_time_out_cancels_a_statement(
    database_url: str, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(database_url, STATEMENT_TIMEOUT_SECONDS="0.1")
    connections = Connections(settings)
    try:
        with connections.transaction() as connection, pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(10)")
    finally:
        connections.close()


def test_violated_constraint_is_reported_by_name(store: PostgresStore) -> None:
    merchant_id = add_merchant(store.begin)
    with pytest.raises(StorageRefused, match="merchants_pkey"), store.begin() as work:
        work.merchants.add(merchant_id, "Again")


def test_unreachable_database_fails_at_once(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the cool-down no caller waits for a connection."""
    monkeypatch.setattr("atomic_adapters.postgres.connections.COOL_DOWN_SECONDS", 600)
    pool = Connections(settings_for("postgresql://localhost:1/none"))
    store, waits = PostgresStore(pool), list[float]()
    get_connection = pool._pool.getconn
    try:
        wait_until(lambda: not store.is_up() and pool._cool_down_until, 60, "it cools down")
        monkeypatch.setattr(
            pool._pool, "getconn", lambda seconds: (waits.append(seconds), get_connection(seconds))
        )
        for _ in range(20):
            assert not store.is_up()
    finally:
        store.close()
    assert waits == []


def test_read_only_database_is_not_up(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        assert store.is_up()
        with psycopg.connect(url, autocommit=True) as connection:
            name = connection.info.dbname
            setting = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
            connection.execute(setting.encode())
        cut_connections(url)
        assert not store.is_up()
        with pytest.raises(StorageUnavailable):
            add_merchant(store.begin)
    finally:
        store.close()


class Struck(BaseException):
    """A job's time-out, which may strike anywhere."""


def test_time_out_at_begin_returns_the_connection(
    database_url: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(settings_for(database_url, DATABASE_POOL="1"))
    execute = psycopg.Connection.execute

    def struck(self: object, query: object, *more: object, **named: object) -> object:
        if query == b"BEGIN":
            raise Struck
        return execute(self, query, *more, **named)  # pyright: ignore

    try:
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Connection, "execute", struck)
            for _ in range(3):
                with pytest.raises(Struck), connections.transaction():
                    pass
        with connections.transaction() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        connections.close()


def test_idle_in_transaction_time_out_is_transient(store: PostgresStore, database_url: str) -> None:
    with pytest.raises(StorageUnavailable), store.begin() as work:
        work._session.execute(b"SET LOCAL idle_in_transaction_session_timeout = '1ms'")
        wait_until(lambda: _idle_sessions(database_url) == 0, 60, "the session is ended")
        work.now()


def test_frozen_process_loses_its_locks(
    database_url: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "atomic_adapters.postgres.session_settings.IDLE_IN_TRANSACTION_SECONDS", 0.1
    )
    store = PostgresStore(Connections(settings_for(database_url)))
    try:
        merchant_id = add_merchant(store.begin)
        frozen = store.begin()
        with pytest.raises(StorageUnavailable), frozen as work:
            work.merchants.lock(merchant_id)
            # Waits for the frozen process, for ever unless PostgreSQL ends its session.
            with psycopg.connect(database_url, options="-c lock_timeout=5s") as other:
                other.execute("SELECT FROM merchants FOR UPDATE")
            work.commit()
    finally:
        store.close()


def _idle_sessions(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        ).fetchone()
    assert row
    return row[0]


def test_commit_after_a_swallowed_error_raises(store: PostgresStore) -> None:
    merchant_id = add_merchant(store.begin)
    with pytest.raises(StorageRefused, match="ROLLBACK"), store.begin() as work:
        with pytest.raises(StorageRefused):
            work.merchants.add(merchant_id, "Again")
        work.commit()


def test_process_that_used_the_pool_exits_at_once(
    database_url: str, settings_for: Callable[..., Settings]
) -> None:
    code = (
        "import sys;"
        "from atomic_adapters.settings import Settings;"
        "from atomic_adapters.wiring import build_application;"
        "build_application(Settings.from_environ({'DATABASE_URL': sys.argv[1]})).ledger.verify()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, as_application(database_url)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), "the pool complains when it is left open"


def test_pool_reconnects_after_a_server_restart(
    scratch: Path, settings_for: Callable[..., Settings]
) -> None:
    data = scratch / "restarted"
    server = EmbeddedPostgres.start(data)
    create_roles(server)
    url = server.create_database("atomic")
    Migrator(url).up()
    store = PostgresStore(Connections(settings_for(url)))
    try:
        # A lease that ends: a try may fail after its claim was committed.
        application = build_application(store.begin, lease=timedelta(seconds=1))
        merchant_id = add_merchant(store.begin)
        payment = application.payments.record(build_payment(merchant_id))
        server.process.kill()
        server.process.wait()
        server.stop()
        # Backends outlive their postmaster for a moment.
        wait_until(lambda: not _answers(store), 60, "the connections are gone")
        with pytest.raises(StorageUnavailable):
            application.settlement.settle()
        server = EmbeddedPostgres.start(data)

        def settled() -> bool:
            # After a failed connection no new one is tried for half a second.
            with suppress(StorageUnavailable):
                return application.settlement.settle() == 1
            return False

        wait_until(settled, 60, "the server is found again")
        assert application.accounts.get(merchant_id, payment.account_id).balance == 5_000
        assert application.ledger.verify().is_clean
    finally:
        store.close()
        server.stop()


def _answers(store: PostgresStore) -> bool:
    try:
        store.find([])
    except StorageUnavailable:
        return False
    return True


def deallocate_prepared_statements(connections: Connections) -> None:
    """What a connection through a pooler in transaction mode finds: another session. Without
    psycopg, which would notice."""
    with connections.autocommit() as connection:
        assert connection.pgconn.exec_(b"DEALLOCATE ALL").error_message == b""


@pytest.fixture
def single(database_url: str, settings_for: Callable[..., Settings]) -> Iterator[Connections]:
    connections = Connections(settings_for(database_url, DATABASE_POOL="1"))
    yield connections
    connections.close()


def test_statement_is_tried_again_if_its_session_has_lost_prepared_statements(
    single: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(single)
    for _ in range(3):
        store.find([])
    deallocate_prepared_statements(single)
    with capture_logs() as logs:
        assert list(store.find([])) == [], "on another connection"
    assert [log["event"] for log in logs] == ["database session lost"]
    assert not store.is_up(), "requests have failed, whatever the probe does"
    monkeypatch.setattr("atomic_adapters.postgres.connections.SESSION_LOSS_SECONDS", 0)
    assert store.is_up()


def test_transaction_begins_in_another_session_if_one_has_lost_prepared_statements(
    single: Connections,
) -> None:
    store = PostgresStore(single)
    for _ in range(3):
        add_merchant(store.begin)
    deallocate_prepared_statements(single)
    with capture_logs() as logs:
        add_merchant(store.begin)
    assert [log["event"] for log in logs] == ["database session lost"]
    deallocate_prepared_statements(single)
    with single.transaction() as connection:
        connection.execute("SELECT 1")
        # psycopg forgets what it has prepared when it sees a rollback.
        connection.execute("ROLLBACK")
    deallocate_prepared_statements(single)
    add_merchant(store.begin)


def test_prepared_statements_of_two_connections_have_different_names(
    database_url: str, settings_for: Callable[..., Settings]
) -> None:
    """A pooler may execute what one has prepared for the other."""
    connections = Connections(settings_for(database_url, DATABASE_POOL="2"))
    names: list[set[str]] = []
    try:
        with connections.transaction() as one, connections.transaction() as other:
            for connection in (one, other):
                rows = connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
                names.append({name for (name,) in rows})
    finally:
        connections.close()
    assert all(names)
    assert not names[0] & names[1]


def test_store_is_not_up_behind_a_pooler_in_transaction_mode(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction meets a session in which nothing is prepared."""
    execute = psycopg.Connection.execute

    def execute_in_another_session(
        self: psycopg.Connection, query: object, *more: object, **named: object
    ) -> object:
        if self.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self.pgconn.exec_(b"DEALLOCATE ALL")
        return execute(self, query, *more, **named)  # pyright: ignore

    # The probe itself must notice, without help of the last one.
    monkeypatch.setattr("atomic_adapters.postgres.connections.SESSION_LOSS_SECONDS", 0)
    monkeypatch.setattr(psycopg.Connection, "execute", execute_in_another_session)
    for _ in range(3):
        assert not store.is_up()


def test_store_is_not_up_if_it_refuses_a_write(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        assert store.is_up()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON idempotency_keys"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('no')"
            )
        assert not store.is_up()
    finally:
        store.close()


def test_readiness_probe_leaves_nothing_behind(store: PostgresStore, database_url: str) -> None:
    assert store.is_up()
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM idempotency_keys").fetchone()
    assert row == (0,)
