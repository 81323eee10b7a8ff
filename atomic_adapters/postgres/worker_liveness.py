"""Presence in PostgreSQL: a lock that lasts as long as the session that took it."""

import threading
import time
from typing import Any, Final

import psycopg
from psycopg import Connection

from atomic_adapters.postgres.connections import COOL_DOWN_SECONDS, Connections, check_connected
from atomic_adapters.postgres.statements import load_statements

_SQL: Final = load_statements("worker_liveness")


class PostgresWorkerLiveness:
    """A session of its own, outside the pool: it is always idle, so its backend notices at once
    that a killed process has hung up, whatever the others are doing. A `Presence`.

    Connects at first use, and again, under a new number, when the session was cut.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._entering = threading.Lock()
        self._session: Connection[Any] | None = None
        self._number: int | None = None
        self._resting_until = 0.0

    def worker_id(self) -> int | None:
        # Two lanes of a process are one worker_id.
        with self._entering:
            if not self._is_connected() and time.monotonic() >= self._resting_until:
                self._enter()
            return self._number

    def leave(self) -> None:
        with self._entering:
            self._leave()

    def close(self) -> None:
        self.leave()

    def _is_connected(self) -> bool:
        if self._session is None:
            return False
        try:
            check_connected(self._session)
        except psycopg.OperationalError:
            self._leave()
        return self._session is not None

    def _enter(self) -> None:
        try:
            self._session = self._connections.connect_outside_pool("atomic presence")
            row = self._session.execute(_SQL["register_worker"]).fetchone()
        except psycopg.Error:
            # Whatever it is, claiming meets it too, and says so.
            self._leave()
            self._resting_until = time.monotonic() + COOL_DOWN_SECONDS
        except BaseException:
            # A job's time-out may strike anywhere.
            self._leave()
            raise
        else:
            if row and row[1]:
                self._number = row[0]

    def _leave(self) -> None:
        session, self._session, self._number = self._session, None, None
        if session is not None:
            session.close()
