"""What keeps the house in order, apart from payments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atomic_core.ports.dependency import Dependency
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory

PURGE_BATCH_SIZE: Final = 1_000
"""Rows deleted per transaction: short locks, and little to undo if it is cut off."""

MAX_PURGE_BATCHES: Final = 100
"""Batches per call, so that the sweeper soon looks for overdue payments again."""


@dataclass(frozen=True, slots=True)
class PurgeIdempotencyKeys:
    """Delete expired idempotency keys; return how many. They were already without effect."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        return _in_batches(self.begin, lambda work: work.idempotency.purge_keys(PURGE_BATCH_SIZE))


@dataclass(frozen=True, slots=True)
class PurgeSessions:
    """Delete expired sessions; return how many. They were already without effect, and what was done
    with them is in the audit log."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        return _in_batches(self.begin, lambda work: work.sessions.purge_sessions(PURGE_BATCH_SIZE))


def _in_batches(begin: UnitOfWorkFactory, purge: Callable[[UnitOfWork], int]) -> int:
    total = 0
    for _ in range(MAX_PURGE_BATCHES):
        with begin() as work:
            purged = purge(work)
            work.commit()
        total += purged
        if purged < PURGE_BATCH_SIZE:
            break
    return total


@dataclass(frozen=True, slots=True)
class Health:
    checks: Mapping[str, bool]
    is_ready: bool
    """Whether every vital dependency is up."""

    @property
    def is_degraded(self) -> bool:
        return self.is_ready and not all(self.checks.values())


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Ask every dependency whether it is up."""

    dependencies: Sequence[Dependency]

    def __call__(self) -> Health:
        checks = {dependency.name: dependency.is_up() for dependency in self.dependencies}
        vital = (
            checks[dependency.name] for dependency in self.dependencies if dependency.is_required
        )
        return Health(checks, all(vital))
