"""Whether PostgreSQL acknowledges commits, and whether it waits for a replica before it does.

With synchronous replication and no synchronous replica left, each COMMIT waits without end, and no
time-out of PostgreSQL ends it: everything but a commit works.
"""

import threading
from contextlib import closing
from typing import Final

import psycopg
import structlog

from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import AtomicError

_SQL: Final = load_statements("replication")

WAIT_SECONDS: Final = 1.0
"""How long a readiness probe waits for a commit: a replica of the same region answers within some
milliseconds, and probes of load balancers have a second or two."""

MAX_COMMIT_SECONDS: Final = 600.0
"""How long one commit is waited for. A connection that is closed earlier leaves a process in
PostgreSQL, which waits on; so there is one per ten minutes of an outage, not one per probe."""

_log = structlog.get_logger(__name__)


class CommitsDependency:
    """A `Dependency` port: whether a commit is acknowledged. One is under way at most, however
    often it is called. It writes a message of a few bytes to the write-ahead log, and no row."""

    name = "commits"
    is_required = False

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_acknowledged = False

    def is_up(self) -> bool:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._is_acknowledged = False
                # A daemon: a process need not wait for it at its end.
                self._thread = threading.Thread(
                    target=self._commit, name="commit-probe", daemon=True
                )
                self._thread.start()
            thread = self._thread
        thread.join(WAIT_SECONDS)
        return self._is_acknowledged

    def _commit(self) -> None:
        try:
            with closing(self._connections.connect_for_probe()) as connection:
                connection.response_seconds = MAX_COMMIT_SECONDS
                connection.execute(_SQL["commit_message"], prepare=False)
        except psycopg.Error as error:
            _log.warning("commit not acknowledged", cause=str(error))
        else:
            self._is_acknowledged = True


class SynchronousReplicationDependency:
    """A `Dependency` port: whether PostgreSQL is set to wait for a replica at each commit. Without
    that, payments that were acknowledged can be missing after a failover."""

    name = "synchronous_replication"
    is_required = True

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def is_up(self) -> bool:
        try:
            row = self._connections.execute_alone(
                lambda connection: connection.execute(_SQL["is_synchronous"]).fetchone()
            )
        except (AtomicError, psycopg.Error) as error:
            _log.warning("synchronous replication unknown", cause=str(error))
            return False
        return row == (True,)
