"""Worker liveness in PostgreSQL: an advisory lock that lasts as long as the worker's session."""

import threading
import time
from typing import Final

import psycopg

from atomic_adapters.postgres.connections import COOL_DOWN_SECONDS, Connections
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_adapters.postgres.statements import load_statements

_SQL: Final = load_statements("worker_liveness")


class PostgresWorkerLiveness:
    """A `WorkerLiveness` port that holds its own connection outside the pool. The connection is
    always idle, so PostgreSQL ends its session, and the lock, as soon as the process is killed.

    Connects at first use. After a lost connection, or a failover, it connects again and gets a new
    worker id.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._connection: LimitedConnection | None = None
        self._worker_id: int | None = None
        self._cool_down_until = 0.0

    def worker_id(self) -> int | None:
        # Concurrent settlement threads of a process share one worker id.
        with self._lock:
            if not self._is_connected() and time.monotonic() >= self._cool_down_until:
                self._register()
            return self._worker_id

    def deregister(self) -> None:
        with self._lock:
            self._disconnect()

    def close(self) -> None:
        self.deregister()

    def _is_connected(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._connections.check_connected(self._connection)
        except psycopg.OperationalError:
            self._disconnect()
        return self._connection is not None

    def _register(self) -> None:
        try:
            self._connection = self._connections.connect_outside_pool("atomic worker liveness")
            row = self._connection.execute(_SQL["register_worker"]).fetchone()
        except psycopg.Error:
            # The claim that follows meets the same problem and raises the error.
            self._disconnect()
            self._cool_down_until = time.monotonic() + COOL_DOWN_SECONDS
        except BaseException:
            # A job's time-out may be raised anywhere.
            self._disconnect()
            raise
        else:
            if row and row[1]:
                self._worker_id = row[0]

    def _disconnect(self) -> None:
        connection, self._connection, self._worker_id = self._connection, None, None
        if connection is not None:
            connection.close()
