"""What Atomic sets in PostgreSQL: once per session, or, behind a pooler in transaction mode, in
each transaction, because the next one may run in another session."""

from typing import Any, Final

from psycopg import Connection, sql

from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.settings import Settings

IDLE_IN_TRANSACTION_SECONDS: Final = 5
"""A unit of work waits for nothing but the database and computes for at most 0.1 s. If its process
freezes, its locks (the World account's above all) are released after this time."""

CLIENT_CHECK_SECONDS: Final = 0.1
"""How often PostgreSQL checks during a statement that the client is still connected. Without the
check, the backend of a killed worker keeps waiting for a lock, and keeps its own locks, until the
lock time-out."""

_CONFIGURE: Final = sql.SQL("""
SELECT set_config('statement_timeout', {statement}, {is_local}),
       set_config('lock_timeout', {lock}, {is_local}),
       set_config('idle_in_transaction_session_timeout', {idle}, {is_local}),
       set_config('client_connection_check_interval', {client_check}, {is_local}),
       set_config('TimeZone', 'UTC', {is_local}),
       set_config('plan_cache_mode', 'force_generic_plan', {is_local}),
       set_config('jit', 'off', {is_local})
""")
"""Without jit: the planner estimates many rows for parameters that it does not know, and PostgreSQL
would compile a statement for longer than it runs."""

_BEGIN_SNAPSHOT: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

_READ_TIMELINE: Final = load_statements("primary_fence")["read_wal_timeline"]


class SessionSettings:
    def __init__(self, settings: Settings) -> None:
        values = {
            "statement": settings.statement_timeout.total_seconds(),
            "lock": settings.lock_timeout.total_seconds(),
            "idle": IDLE_IN_TRANSACTION_SECONDS,
            "client_check": CLIENT_CHECK_SECONDS,
        }
        literals = {name: sql.Literal(f"{value * 1000:.0f}ms") for name, value in values.items()}
        self._for_session, for_transaction = (
            _CONFIGURE.format(is_local=sql.Literal(is_local), **literals).as_bytes()
            for is_local in (False, True)
        )
        self._begin = b";".join((b"BEGIN", for_transaction, _READ_TIMELINE))
        self.restart_as_snapshot = b";".join((b"ROLLBACK", _BEGIN_SNAPSHOT, for_transaction))
        """For a transaction that `begin` began: its query had a snapshot of its own. One message,
        which a pooler does not take apart: it is the same server."""

    def configure(self, connection: Connection[Any]) -> None:
        """For as long as the session lasts."""
        connection.execute(self._for_session)

    def begin(self, connection: Connection[Any]) -> tuple[str, int | None]:
        """Begin a transaction with these settings, in one round trip. Returns the cluster and the
        timeline of its server; None if it is a replica."""
        cursor = connection.execute(self._begin, prepare=False)
        while cursor.nextset():
            pass
        [(cluster, timeline)] = cursor.fetchall()
        return cluster, timeline
