"""Presences of other processes, which tests begin and end."""

from typing import Protocol

import psycopg

from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_core.ports.worker_liveness import WorkerLiveness


class Process(WorkerLiveness, Protocol):
    """The presence of another process, which a test can end."""

    def close(self) -> None: ...


class PostgresProcess(PostgresWorkerLiveness):
    def __init__(self, url: str, connections: Connections) -> None:
        super().__init__(connections)
        self.url = url

    def close(self) -> None:
        """Returns when PostgreSQL has noticed."""
        number = self._worker_id
        super().close()
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "SELECT pg_advisory_xact_lock_shared('claimants'::regclass::integer, %s::integer)",
                [number],
            )


class Unseen:
    """A presence that no store can see: leases alone rule."""

    def worker_id(self) -> int | None:
        return None

    def deregister(self) -> None:
        """There is nothing to leave."""
