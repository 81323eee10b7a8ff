"""Health checks and purges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atomic_core.domain.backlog import NO_BACKLOG, Backlog
from atomic_core.domain.errors import AtomicError
from atomic_core.ports.dependency import Dependency
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
    """Whether every required dependency is up."""
    backlog: Backlog = NO_BACKLOG

    @property
    def is_degraded(self) -> bool:
        """Whether requests are accepted, and something does not work."""
        return self.is_ready and (self.backlog.is_stalled or not all(self.checks.values()))


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Check whether every dependency is up, and whether payments are being settled."""

    dependencies: Sequence[Dependency]
    measure_backlog: Callable[[], Backlog] = lambda: NO_BACKLOG

    def __call__(self) -> Health:
        checks = {dependency.name: dependency.is_up() for dependency in self.dependencies}
        required = [dependency for dependency in self.dependencies if dependency.is_required]
        is_ready = all(checks[dependency.name] for dependency in required)
        return Health(checks, is_ready, self._measure_backlog() if is_ready else NO_BACKLOG)

    def _measure_backlog(self) -> Backlog:
        """None is known if the database fails after it was checked: the next check reports it."""
        try:
            return self.measure_backlog()
        except AtomicError:
            return NO_BACKLOG
