"""Connections that give up a server which does not respond.

PostgreSQL's own time-outs end a statement only while the server runs. A primary that is frozen, or
was cut off after a failover, keeps its sockets open: without a limit here, each request and worker
would wait for as long as it stays so.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import Connection
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow

POLL_SECONDS: Final = 0.1
"""How soon psycopg notices an interruption while it waits; its own default."""


class LimitedConnection(Connection[TupleRow]):
    """Raises OperationalError, and is closed, if the server does not respond within
    `response_seconds`. Whether the statement was executed is then not known."""

    response_seconds: float | None = None
    """None: no limit."""
    wal_timeline: int = 0
    """Of the server; 0 if it is a replica."""
    restart_as_snapshot: bytes | None = None
    """What turns a transaction that has just begun into a snapshot; None if SET TRANSACTION can."""
    on_silence: Callable[[], None] = staticmethod(lambda: None)

    def wait(
        self, gen: PQGen[RV], interval: float = POLL_SECONDS, timeout: float | None = None
    ) -> RV:
        limit = self.response_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - it has no public name
            if timeout is None:
                # Its state is not known. A later statement would read the answer to this one.
                self.close()
                self.on_silence()
            raise

    @contextmanager
    def limit_response(self, seconds: float | None) -> Iterator[None]:
        """Another limit while the block runs."""
        before, self.response_seconds = self.response_seconds, seconds
        try:
            yield
        finally:
            self.response_seconds = before
