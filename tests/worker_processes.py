"""Workers of other processes, which tests start and end."""

from typing import Protocol

import psycopg

from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_core.ports.worker_liveness import WorkerLiveness


class WorkerProcess(WorkerLiveness, Protocol):
    def close(self) -> None:
        """End the process. Returns when the store knows that the worker is dead."""
        ...


class PostgresWorkerProcess(PostgresWorkerLiveness):
    def __init__(self, url: str, connections: Connections) -> None:
        super().__init__(connections)
        self.url = url

    def close(self) -> None:
        """Returns when PostgreSQL has released the worker's advisory lock."""
        worker_id = self._worker_id
        super().close()
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "SELECT pg_advisory_xact_lock_shared('claimants'::regclass::integer, %s::integer)",
                [worker_id],
            )


class UnregisteredWorker:
    """A worker without an id: only leases protect its claims."""

    def worker_id(self) -> int | None:
        return None

    def deregister(self) -> None:
        """Does nothing: the worker is not registered."""
