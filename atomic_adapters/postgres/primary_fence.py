"""Refuses a former primary.

Each promotion of a replica begins a timeline of the write-ahead log, with a higher number. A
primary that was replaced, and runs again without having become a replica, still accepts writes on
its own timeline: payments that it acknowledges are on no other server. So the highest timeline that
any process has connected to is remembered, and connections to a lower one are refused.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import psycopg
import structlog
from psycopg import Connection

from atomic_adapters.postgres.statements import load_statements

_SQL: Final = load_statements("primary_fence")

REFRESH_SECONDS: Final = 1.0
"""How long a process may still use connections to a former primary after another process has
connected to its successor. It costs each process one Redis command per second."""

_log = structlog.get_logger(__name__)


class FormerPrimaryRefused(psycopg.OperationalError):
    """The server is a primary that another one has replaced."""


class WalTimelines(Protocol):
    """The highest timelines that any process of the deployment has connected to."""

    def raise_to(self, cluster: str, timeline: int) -> int | None:
        """Record the timeline unless a higher one is known; return the highest. None if that cannot
        be known at present. Takes at most 0.25 s; does not raise."""
        ...


class ProcessWalTimelines:
    """For a process that shares them with no other."""

    def raise_to(self, cluster: str, timeline: int) -> int | None:  # noqa: ARG002
        return timeline


class PrimaryFence:
    """Of the connections of one process."""

    def __init__(
        self,
        timelines: WalTimelines,
        get_time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timelines = timelines
        self._get_time = get_time
        self._lock = threading.Lock()
        self._cluster: str | None = None
        self._highest = 0
        self._refresh_at = 0.0

    def admit(self, connection: Connection[Any]) -> int:
        """The timeline of a new connection; 0 for one to a replica, which acknowledges nothing.
        Raises FormerPrimaryRefused."""
        [(cluster, timeline)] = connection.execute(_SQL["read_wal_timeline"]).fetchall()
        if timeline is None:
            return 0
        self._note(cluster, timeline)
        self._refresh()
        self._refuse_below_highest(timeline)
        return timeline

    def check_server(self, cluster: str, timeline: int | None) -> None:
        """As `check`, for a transaction that may run on another server than the one before. No
        timeline: a replica."""
        if timeline is not None:
            self._note(cluster, timeline)
            self.check(timeline)

    def _note(self, cluster: str, timeline: int) -> None:
        with self._lock:
            if cluster != self._cluster:
                # Another cluster, such as one that was created anew: its timelines begin at 1. What
                # other processes know of it is read at once.
                self._cluster, self._highest, self._refresh_at = cluster, 0, 0.0
            self._highest = max(self._highest, timeline)

    def check(self, timeline: int) -> None:
        """Raise FormerPrimaryRefused if the connection's timeline is known to have ended."""
        if self._get_time() >= self._refresh_at:
            self._refresh()
        self._refuse_below_highest(timeline)

    def _refresh(self) -> None:
        with self._lock:
            cluster, highest = self._cluster, self._highest
            self._refresh_at = self._get_time() + REFRESH_SECONDS
        if cluster is None:
            return
        # Outside the lock: other threads need not wait for Redis.
        known = self._timelines.raise_to(cluster, highest) or 0
        with self._lock:
            if cluster == self._cluster:
                self._highest = max(self._highest, known)

    def _refuse_below_highest(self, timeline: int) -> None:
        highest = self._highest
        if not 0 < timeline < highest:
            return
        _log.error("former primary refused", wal_timeline=timeline, newest_wal_timeline=highest)
        raise FormerPrimaryRefused(
            f"The server writes timeline {timeline}, but timeline {highest} has begun: another"
            " server was promoted."
        )
