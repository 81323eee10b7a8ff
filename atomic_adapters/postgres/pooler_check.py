"""Detects a pooler that gives each transaction another session.

Atomic's session state would be lost, or would be left to other clients: prepared statements,
time-outs, and the advisory locks of workers and of `atomic migrate`.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from psycopg import Connection

from atomic_adapters.environ import SettingsError
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.settings import Settings

_SQL: Final = load_statements("pooler_check")

CONNECT_TIMEOUT_SECONDS: Final = 2

RESPONSE_SECONDS: Final = 2.0
"""A pooler in session mode lets a connection wait for a session while all are in use."""

ROUNDS: Final = 20
"""A pooler that has many free sessions may give a connection the same one by chance."""

_log = structlog.get_logger(__name__)


class SharedSessionRefused(psycopg.OperationalError):
    """The connection has no session of its own."""

    def __init__(self) -> None:
        super().__init__("Refused: a pooler in transaction mode has no session for a connection.")


class _Backend(NamedTuple):
    process_id: int
    server: str
    """Two servers of a URL may have processes of the same id."""


def _read_backend(connection: Connection[Any]) -> _Backend:
    [row] = connection.execute(_SQL["read_backend"], prepare=False).fetchall()
    return _Backend(*row)


def is_direct(connection: Connection[Any]) -> bool:
    """Whether the server that accepted the connection is the one that executes its statements. Not
    through a pooler, be it one in session mode."""
    return _read_backend(connection).process_id == connection.info.backend_pid


def shares_sessions(connection: Connection[Any], connect: Callable[[], Connection[Any]]) -> bool:
    """Whether a pooler may execute a statement of this connection in a session that another
    connection has used. `connect` opens a second connection to the same place.

    Sets nothing in a session. Certain if it returns True; a pooler in transaction mode is missed
    only if it gives the connection one and the same of several free sessions 20 times.
    """
    if is_direct(connection):
        return False
    backend = _read_backend(connection)
    try:
        with closing(connect()) as other:
            for _ in range(ROUNDS):
                # The first connection is idle, so a pooler may give its session to the second, and
                # must then give the first another one.
                other.execute(b"BEGIN", prepare=False)
                is_taken = _read_backend(other) == backend
                has_changed = _read_backend(connection) != backend
                other.execute(b"ROLLBACK", prepare=False)
                if is_taken or has_changed:
                    return True
    except psycopg.OperationalError:
        # No session was free beside that of the first connection.
        return False
    return False


def refuse_shared_session(
    connection: Connection[Any], connect: Callable[[], Connection[Any]]
) -> None:
    """Raise SharedSessionRefused behind a pooler in transaction mode."""
    if shares_sessions(connection, connect):
        _log.error("pooler in transaction mode refused", setting="DATABASE_DIRECT_URL")
        raise SharedSessionRefused


def has_shared_sessions(url: str) -> bool:
    """Whether this URL leads through a pooler in transaction mode. False if nothing answers."""

    def connect() -> LimitedConnection:
        connection = LimitedConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
        )
        connection.response_seconds = RESPONSE_SECONDS
        return connection

    try:
        with closing(connect()) as connection:
            return shares_sessions(connection, connect)
    except psycopg.OperationalError:
        return False


def check_pooler(settings: Settings) -> None:
    """Called at the start of the API. Raises SettingsError if DATABASE_URL leads through a pooler
    in transaction mode and DATABASE_POOLER does not say so. Does nothing while PostgreSQL is
    unreachable: then requests get 503 and the API is not ready."""
    if settings.has_transaction_pooler or not has_shared_sessions(settings.database_url):
        return
    raise SettingsError(
        "DATABASE_POOLER: DATABASE_URL leads through a pooler in transaction mode: the process of"
        " PostgreSQL changes between transactions, so prepared statements and time-outs of the"
        " session are lost. Set DATABASE_POOLER=transaction, and DATABASE_DIRECT_URL for worker,"
        " sweeper and migrations; or use session mode."
    )


def check_sessions(settings: Settings, purpose: str) -> None:
    """Called at the start of a process that needs sessions of its own, with its own settings.
    Raises SettingsError if it has none. `purpose` says what it needs them for."""
    if settings.has_transaction_pooler:
        raise SettingsError(
            f"DATABASE_DIRECT_URL: expected the URL of PostgreSQL itself, got nothing. {purpose},"
            " which a pooler in transaction mode (DATABASE_POOLER) does not keep."
        )
    if has_shared_sessions(settings.database_url):
        name = "DATABASE_DIRECT_URL" if settings.database_direct_url else "DATABASE_URL"
        raise SettingsError(
            f"{name}: leads through a pooler in transaction mode: the process of PostgreSQL changes"
            f" between transactions. {purpose}, which such a pooler does not keep. Set"
            " DATABASE_DIRECT_URL to PostgreSQL itself."
        )
