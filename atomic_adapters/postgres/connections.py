"""PostgreSQL connections, and the mapping of PostgreSQL errors to the core's."""

import atexit
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
import structlog
from psycopg import errors
from psycopg_pool import ConnectionPool

from atomic_adapters.postgres.pooler_check import refuse_shared_session
from atomic_adapters.postgres.primary_fence import (
    FormerPrimaryRefused,
    PrimaryFence,
    ProcessWalTimelines,
)
from atomic_adapters.postgres.role_check import refuse_privileged_role
from atomic_adapters.postgres.session_settings import SessionSettings
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import (
    AtomicError,
    SchemaOutdated,
    StorageRefused,
    StorageUnavailable,
)
from atomic_core.domain.process_load import PoolLoad

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")

POOL_WAIT_SECONDS: Final = 2.0
"""How long a caller waits for a connection before StorageUnavailable (503): longer than the pool's
queue takes under load, shorter than HTTP clients' usual time-outs."""

CONNECT_TIMEOUT_SECONDS: Final = 2
"""libpq's minimum. A host that takes longer to accept a connection is down."""

RECONNECT_TIMEOUT_SECONDS: Final = 0.5
"""How long the pool retries with growing delays before it gives up. Short: the next caller starts a
new attempt, so a restarted server is found within a second."""

COOL_DOWN_SECONDS: Final = 0.5
"""How long callers fail at once after the pool gave up connecting: while the database is down, each
process makes two attempts per second instead of delaying every request."""

_TCP_OPTIONS: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A host that disappeared without closing its connections is detected after about 10 s, the default
statement time-out (keepalives in seconds, tcp_user_timeout in ms). No effect on Unix sockets."""

_CONNECT: Final[dict[str, Any]] = {
    # BEGIN is sent explicitly: it doubles as the check of a pooled connection.
    "autocommit": True,
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    **_TCP_OPTIONS,
}

SESSION_LOSS_SECONDS: Final = 10.0
"""How long the process is not ready after a session had lost its prepared statements: some
intervals of a readiness probe."""

RESPONSE_SLACK_SECONDS: Final = 2.0
"""How much longer than the statement time-out a response may take: PostgreSQL has cancelled the
statement by then, so a server that is silent still does not run."""

MAX_LOST_SESSIONS: Final = 3
"""Connections on which a statement is tried. One that is lost is rare; all are behind a pooler in
transaction mode that DATABASE_POOLER does not name."""

STATEMENT_NAME_BITS: Final = 48
"""Of the random number in the names of prepared statements: enough that no two connections meet."""

BEGIN_SECONDS: Final = 5.0
"""How long a pooled connection may take to begin a transaction, which is a millisecond's work. The
server of one that takes longer does not run, or a request could not be processed in time."""


class Connections:
    """A connection pool that opens at first use: one opened before a fork would share its sockets
    among the children."""

    def __init__(self, settings: Settings, fence: PrimaryFence | None = None) -> None:
        """Without a fence, this process alone knows which primaries were replaced."""
        self._fence = fence or PrimaryFence(ProcessWalTimelines())
        self._session_settings = SessionSettings(settings)
        self._has_transaction_pooler = settings.has_transaction_pooler
        self._url = settings.database_url
        self._refuses_privileged_role = settings.refuses_privileged_role
        self._connect_options = dict(_CONNECT)
        self._response_seconds = settings.statement_timeout.total_seconds() + RESPONSE_SLACK_SECONDS
        self._pool: ConnectionPool[LimitedConnection] = ConnectionPool(
            self._url,
            connection_class=LimitedConnection,
            kwargs=lambda: {
                **self._connect_options,
                "application_name": "atomic",
                # At first use: the statements are a fixed set that repeats. Never behind a pooler
                # in transaction mode, which executes them in other sessions.
                "prepare_threshold": None if self._has_transaction_pooler else 1,
            },
            min_size=1,
            max_size=settings.database_pool,
            timeout=POOL_WAIT_SECONDS,
            reconnect_timeout=RECONNECT_TIMEOUT_SECONDS,
            reconnect_failed=self._start_cool_down,
            configure=self._configure,
            name="atomic",
            open=False,
        )
        self._pool_size = settings.database_pool
        self._open_lock = threading.Lock()
        self._is_open = False
        self._cool_down_until = 0.0
        self._wait_timeout = POOL_WAIT_SECONDS
        self._session_lost_at: float | None = None
        """In monotonic seconds."""

    @property
    def are_sessions_kept(self) -> bool:
        """False if a session has recently lost its prepared statements. So it is with a pooler in
        transaction mode, which also loses other settings of the session, such as its time-outs."""
        lost_at = self._session_lost_at
        return lost_at is None or time.monotonic() - lost_at >= SESSION_LOSS_SECONDS

    def read_load(self) -> PoolLoad:
        stats = self._pool.get_stats()
        size = stats["pool_size"]
        return PoolLoad(
            size,
            size - stats["pool_available"],
            stats["requests_waiting"],
            # The pool leaves out what has not happened.
            stats.get("requests_queued", 0),
            stats.get("requests_wait_ms", 0) / 1_000,
            stats.get("requests_errors", 0),
        )

    @contextmanager
    def transaction(self) -> Iterator[LimitedConnection]:
        """A connection inside a transaction, rolled back at the end unless it was committed."""
        connection = self._get_checked_connection(self._begin)
        try:
            with self._discard_if_session_lost(connection):
                yield connection
        finally:
            try:
                if connection.info.transaction_status in _IN_TRANSACTION:
                    with map_errors():
                        connection.execute(b"ROLLBACK")
            finally:
                self._pool.putconn(connection)

    @contextmanager
    def autocommit(self) -> Iterator[LimitedConnection]:
        """A connection on which each statement is its own transaction; behind a pooler in
        transaction mode all together are one, which is committed at the end."""
        if self._has_transaction_pooler:
            with self.transaction() as connection:
                yield connection
                with map_errors():
                    connection.execute(b"COMMIT")
            return
        connection = self._get_checked_connection(self.check_connected)
        try:
            with self._discard_if_session_lost(connection):
                yield connection
        finally:
            self._pool.putconn(connection)

    @contextmanager
    def _discard_if_session_lost(self, connection: LimitedConnection) -> Iterator[None]:
        """Close a connection whose session is not the one that it prepared statements in. The pool
        replaces it."""
        try:
            yield
        except StorageUnavailable as error:
            if isinstance(error.__cause__, _SESSION_LOST_ERRORS):
                self._give_up_session(connection, error.__cause__)
            raise

    def _give_up_session(self, connection: LimitedConnection, cause: BaseException) -> None:
        self._session_lost_at = time.monotonic()
        _log.error("database session lost", reason=str(cause))
        connection.close()

    def execute_alone(self, execute: Callable[[LimitedConnection], Result]) -> Result:
        """Run a function that executes one statement, as a transaction of its own. It runs again on
        another connection if the session was lost: the statement was not executed."""
        for _ in range(MAX_LOST_SESSIONS):
            try:
                with self.autocommit() as connection:
                    return execute(connection)
            except StorageUnavailable as error:
                if not isinstance(error.__cause__, _SESSION_LOST_ERRORS):
                    raise
        raise StorageUnavailable

    def connect_outside_pool(self, application_name: str) -> LimitedConnection:
        """A connection that the caller keeps and closes. Raises psycopg's errors, and
        SharedSessionRefused behind a pooler in transaction mode."""

        def connect() -> LimitedConnection:
            connection = LimitedConnection.connect(
                self._url, **self._connect_options, application_name=application_name
            )
            connection.response_seconds = self._response_seconds
            return connection

        connection = connect()
        try:
            refuse_shared_session(connection, connect)
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_for_probe(self) -> LimitedConnection:
        """A connection that the caller closes after one statement. Raises psycopg's errors."""
        connection = LimitedConnection.connect(
            self._url, **self._connect_options, application_name="atomic probe"
        )
        connection.response_seconds = self._response_seconds
        return connection

    def close(self) -> None:
        atexit.unregister(self._pool.close)
        self._pool.close()

    def _get_checked_connection(
        self, check: Callable[[LimitedConnection], object]
    ) -> LimitedConnection:
        """A pooled connection for which `check` did not raise OperationalError. Raises
        StorageUnavailable."""
        if not self._is_open:
            with self._open_lock:
                if not self._is_open:
                    self._pool.open()
                    # At interpreter shutdown the pool would wait 5 s for each of its threads, which
                    # no longer run then (Python 3.13).
                    atexit.register(self._pool.close)
                    self._is_open = True
        if time.monotonic() < self._cool_down_until:
            raise StorageUnavailable
        with map_errors():
            # After a server restart every pooled connection may be broken, and so may those that
            # the pool was opening meanwhile: discard one after the other until one works.
            for _ in range(2 * self._pool_size):
                connection = self._pool.getconn(self._wait_timeout)
                try:
                    check(connection)
                except psycopg.OperationalError as error:
                    if isinstance(error, FormerPrimaryRefused):
                        connection.close()
                    self._pool.putconn(connection)
                except _SESSION_LOST_ERRORS as error:
                    # What it had prepared is missing, so nothing was executed: another connection.
                    self._give_up_session(connection, error)
                    self._pool.putconn(connection)
                except BaseException:
                    # A job's time-out may be raised anywhere; return the connection to the pool.
                    self._pool.putconn(connection)
                    raise
                else:
                    self._wait_timeout = POOL_WAIT_SECONDS
                    return connection
        raise StorageUnavailable

    def _start_cool_down(self, _pool: ConnectionPool[Any]) -> None:
        """Called by the pool when it gives up connecting. Callers fail during the cool-down,
        and afterwards wait only briefly, until a connection works again."""
        self._cool_down_until = time.monotonic() + COOL_DOWN_SECONDS
        self._wait_timeout = RECONNECT_TIMEOUT_SECONDS

    def _handle_silence(self) -> None:
        """The server of one connection does not respond, so neither does that of the others: the
        next callers connect again, and find another primary if the URL names it."""
        _log.error("database does not respond")
        self._pool.drain()

    def _configure(self, connection: LimitedConnection) -> None:
        connection.response_seconds = self._response_seconds
        connection.on_silence = self._handle_silence
        if self._refuses_privileged_role:
            refuse_privileged_role(connection)
        if self._has_transaction_pooler:
            # Each transaction is configured, and its server checked, when it begins.
            connection.restart_as_snapshot = self._session_settings.restart_as_snapshot
            return
        # psycopg numbers the statements that it prepares, from 0 in each connection. In a session
        # of another connection, such a name would be that of another statement.
        connection._prepared._prepared_idx = secrets.randbits(STATEMENT_NAME_BITS)  # noqa: SLF001
        try:
            connection.wal_timeline = self._fence.admit(connection)
        except FormerPrimaryRefused:
            # libpq would connect to the first primary of its list again.
            self._connect_options["load_balance_hosts"] = "random"
            raise
        self._session_settings.configure(connection)

    def _begin(self, connection: LimitedConnection) -> None:
        if self._has_transaction_pooler:
            with connection.limit_response(BEGIN_SECONDS):
                cluster, timeline = self._session_settings.begin(connection)
            connection.wal_timeline = timeline or 0
            self._fence.check_server(cluster, timeline)
            return
        self._fence.check(connection.wal_timeline)
        with connection.limit_response(BEGIN_SECONDS):
            # Prepared, also after a rollback, when psycopg forgets what it has prepared: in another
            # session than that of the connection it is missing, before anything is executed.
            connection.execute(b"BEGIN", prepare=True)

    def check_connected(self, connection: LimitedConnection) -> None:
        """Raise OperationalError if the server has closed the connection, or is a former primary.
        No round trip."""
        self._fence.check(connection.wal_timeline)
        # The first call may read the server's last message; the second then detects the end of the
        # stream.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()


_IN_TRANSACTION: Final = (
    psycopg.pq.TransactionStatus.INTRANS,
    psycopg.pq.TransactionStatus.INERROR,
)


# The statement was not executed. A prepared statement is missing, or exists already: the session is
# another one than that in which psycopg prepared it.
_SESSION_LOST_ERRORS: Final = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)

# OperationalError covers lost connections, full disks, too many clients, deadlocks and most
# time-outs; InterfaceError a connection that was closed while in use. psycopg classes the others
# as InternalError: idle or long transactions that were ended, and a read-only database.
_TRANSIENT_ERRORS: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
    errors.ReadOnlySqlTransaction,
    *_SESSION_LOST_ERRORS,
)


@contextmanager
def map_errors() -> Iterator[None]:
    """Raise PostgreSQL errors as the core's errors, with the original as the cause, for the log."""
    try:
        yield
    except psycopg.Error as error:
        raise to_domain_error(error) from error


def to_domain_error(error: psycopg.Error) -> AtomicError:
    if isinstance(error, _TRANSIENT_ERRORS):
        return StorageUnavailable()
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return SchemaOutdated()
    reason = error.diag.constraint_name or error.diag.message_primary or str(error)
    return StorageRefused(f"The database refused the statement: {reason}")
