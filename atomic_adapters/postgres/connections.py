"""Connections to PostgreSQL, and its errors in the core's words."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection, errors
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from atomic_adapters.settings import Settings
from atomic_core.domain.errors import (
    AtomicError,
    SchemaOutdated,
    StorageRefused,
    StorageUnavailable,
)

POOL_WAIT_SECONDS: Final = 2.0
"""How long a request waits for a connection before it is told 503: longer than any honest queue
of statements, shorter than a client's patience."""

CONNECT_TIMEOUT_SECONDS: Final = 2
"""libpq's minimum. A host that does not answer a SYN in that time is down."""

RECONNECT_TIMEOUT_SECONDS: Final = 0.5
"""How long the pool retries by itself with growing pauses. Short, so that the next request tries
at once and a restarted server is found again within the second."""

COOL_DOWN_SECONDS: Final = 0.5
"""How long nobody is asked after connecting failed: a database that is down costs each process
one attempt per moment, not every request its patience."""

_VANISHED_HOST: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A host that vanished without a word is noticed after about ten seconds, in which a statement
would have run into its own time-out. Without effect on Unix sockets."""

IDLE_IN_TRANSACTION_SECONDS: Final = 5
"""No unit of work waits for anything but the database, and thinks for a tenth of a second at
most. A process that is frozen in the middle of one holds its locks, above all the World
account's, no longer than this."""

_CONNECT: Final[dict[str, Any]] = {
    # We say BEGIN ourselves: it doubles as the check that the connection lives.
    "autocommit": True,
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    **_VANISHED_HOST,
}

CLIENT_CHECK_SECONDS: Final = 0.1
"""How often PostgreSQL looks, during a statement, whether its client still lives. Else the
backend of a killed settler would wait on for a lock, and hold its own, until the lock time-out."""

_SET_UP: Final = b"""
SELECT set_config('statement_timeout', %(statement)s, false),
       set_config('lock_timeout', %(lock)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle)s, false),
       set_config('client_connection_check_interval', %(hangup)s, false),
       set_config('TimeZone', 'UTC', false),
       set_config('plan_cache_mode', 'force_generic_plan', false)
"""


class Connections:
    """A pool that opens at first use, in the process that uses it: one opened before a fork
    would hand the same sockets to every child."""

    def __init__(self, settings: Settings) -> None:
        self._timeouts = {
            "statement": _milliseconds(settings.statement_timeout.total_seconds()),
            "lock": _milliseconds(settings.lock_timeout.total_seconds()),
            "idle": _milliseconds(IDLE_IN_TRANSACTION_SECONDS),
            "hangup": _milliseconds(CLIENT_CHECK_SECONDS),
        }
        self._url = settings.database_url
        self._pool: ConnectionPool[Connection[TupleRow]] = ConnectionPool(
            self._url,
            kwargs={
                **_CONNECT,
                "application_name": "atomic",
                # Every statement comes from a file and returns: worth preparing at once.
                "prepare_threshold": 1,
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
        self._size = settings.database_pool
        self._opening = threading.Lock()
        self._opened = False
        self._resting_until = 0.0
        self._patience = POOL_WAIT_SECONDS

    @contextmanager
    def transaction(self) -> Iterator[Connection[TupleRow]]:
        """A connection in a transaction, which is rolled back at the end unless committed."""
        # BEGIN shows too that the connection lives.
        connection = self._connection(lambda connection: connection.execute(b"BEGIN"))
        try:
            yield connection
        finally:
            try:
                if connection.info.transaction_status in _IN_TRANSACTION:
                    with map_errors():
                        connection.execute(b"ROLLBACK")
            finally:
                self._pool.putconn(connection)

    @contextmanager
    def autocommit(self) -> Iterator[Connection[TupleRow]]:
        """A connection on which every statement is a transaction of its own."""
        connection = self._connection(check_connected)
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def connect_outside_pool(self, application_name: str) -> Connection[TupleRow]:
        """A connection outside the pool, for the caller to keep and to close. Raises psycopg's
        own errors."""
        connection = psycopg.connect(self._url, **_CONNECT, application_name=application_name)
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        atexit.unregister(self._pool.close)
        self._pool.close()

    def _connection(self, greet: Callable[[Connection[TupleRow]], object]) -> Connection[TupleRow]:
        """A connection that could be greeted."""
        if not self._opened:
            with self._opening:
                if not self._opened:
                    self._pool.open()
                    # Left to the interpreter's end, the pool waits there for its threads, which
                    # from Python 3.13 on no longer move: five seconds for each.
                    atexit.register(self._pool.close)
                    self._opened = True
        if time.monotonic() < self._resting_until:
            raise StorageUnavailable
        with map_errors():
            # After a server restart every pooled connection may be dead: throw them away one
            # by one until one answers or the pool has no more.
            for _ in range(self._size):
                connection = self._pool.getconn(self._patience)
                try:
                    greet(connection)
                except psycopg.OperationalError:
                    self._pool.putconn(connection)
                except BaseException:
                    # A job's time-out may strike anywhere; the pool must not lose a place.
                    self._pool.putconn(connection)
                    raise
                else:
                    self._patience = POOL_WAIT_SECONDS
                    return connection
        raise StorageUnavailable

    def _start_cool_down(self, _pool: ConnectionPool[Any]) -> None:
        """Told by the pool when it gave up connecting: requests are refused at once for a
        moment, and then wait a short time only, instead of queueing for what is not there."""
        self._resting_until = time.monotonic() + COOL_DOWN_SECONDS
        self._patience = RECONNECT_TIMEOUT_SECONDS

    def _configure(self, connection: Connection[Any]) -> None:
        connection.execute(_SET_UP, self._timeouts)


def check_connected(connection: Connection[Any]) -> None:
    """Raise OperationalError if the server has hung up: what it said last may be read first, the
    end of the stream is noticed by the second look. No round trip."""
    connection.pgconn.consume_input()
    connection.pgconn.consume_input()


_IN_TRANSACTION: Final = (
    psycopg.pq.TransactionStatus.INTRANS,
    psycopg.pq.TransactionStatus.INERROR,
)


# OperationalError covers lost connections, full disks, too many clients, deadlocks and most
# time-outs; InterfaceError a connection that was closed under us. The others are InternalError
# to psycopg: a session that idled or took too long, a database that is read-only.
_TRANSIENT_ERRORS: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
    errors.ReadOnlySqlTransaction,
)


@contextmanager
def map_errors() -> Iterator[None]:
    """Raise PostgreSQL's errors as the core's. The original stays as the cause, for the log."""
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
    return StorageRefused(f"The database refused: {reason}")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"
