"""Health checks and purges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atomic_core.domain.backlog import NO_BACKLOG, Backlog
from atomic_core.domain.errors import AtomicError
from atomic_core.ports.dependency import Dependency
from atomic_core.ports.schema_version import SchemaVersion
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory

PURGE_BATCH_SIZE: Final = 1_000
"""Rows deleted per transaction. Keeps locks short."""

MAX_PURGE_BATCHES: Final = 100
"""Batches per call, so that the sweeper soon settles overdue payments again."""


@dataclass(frozen=True, slots=True)
class PurgeIdempotencyKeys:
    """Delete expired idempotency keys, which no longer have any effect. Returns their number."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        return purge_in_batches(
            self.begin, lambda work: work.idempotency.purge_keys(PURGE_BATCH_SIZE)
        )


@dataclass(frozen=True, slots=True)
class PurgeSessions:
    """Delete expired sessions, which no longer have any effect. Returns their number."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        return purge_in_batches(
            self.begin, lambda work: work.sessions.purge_sessions(PURGE_BATCH_SIZE)
        )


def purge_in_batches(begin: UnitOfWorkFactory, purge: Callable[[UnitOfWork], int]) -> int:
    """Call `purge`, which deletes up to PURGE_BATCH_SIZE rows, until it deletes fewer."""
    total = 0
    for _ in range(MAX_PURGE_BATCHES):
        with begin() as work:
            count = purge(work)
            work.commit()
        total += count
        if count < PURGE_BATCH_SIZE:
            break
    return total


@dataclass(frozen=True, slots=True)
class Health:
    checks: Mapping[str, bool]
    is_ready: bool
    """Whether every required dependency is up, and the schema is up to date."""
    backlog: Backlog = NO_BACKLOG
    pending_migrations: Sequence[str] = ()
    """Their ids. With any, the schema is older than this code requires."""

    @property
    def is_degraded(self) -> bool:
        """Whether requests are accepted, and something does not work."""
        return self.is_ready and (self.backlog.is_stalled or not all(self.checks.values()))


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Check whether every dependency is up, and whether payments are being settled."""

    dependencies: Sequence[Dependency]
    schema_version: SchemaVersion
    measure_backlog: Callable[[], Backlog] = lambda: NO_BACKLOG

    def __call__(self) -> Health:
        checks = {dependency.name: dependency.is_up() for dependency in self.dependencies}
        required = [dependency for dependency in self.dependencies if dependency.is_required]
        pending = self._list_pending_migrations()
        is_ready = not pending and all(checks[dependency.name] for dependency in required)
        backlog = self._measure_backlog() if is_ready else NO_BACKLOG
        return Health(checks, is_ready, backlog, pending)

    def _list_pending_migrations(self) -> Sequence[str]:
        """None is known while the database is down, which is a check of its own."""
        try:
            return self.schema_version.list_pending()
        except AtomicError:
            return ()

    def _measure_backlog(self) -> Backlog:
        """None is known if the database fails after it was checked: the next check reports it."""
        try:
            return self.measure_backlog()
        except AtomicError:
            return NO_BACKLOG
