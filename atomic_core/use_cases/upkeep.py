"""What keeps the house in order, apart from payments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atomic_core.ports.outside import Dependency
from atomic_core.ports.unit_of_work import Begin

PURGE_BATCH: Final = 1_000
"""Keys deleted per transaction: short locks, and little to undo if it is cut off."""

MAX_PURGE_BATCHES: Final = 100
"""Batches per call, so that the sweeper soon looks for overdue payments again."""


@dataclass(frozen=True, slots=True)
class PurgeIdempotencyKeys:
    """Delete expired idempotency keys; return how many. They were already without effect."""

    begin: Begin

    def __call__(self) -> int:
        total = 0
        for _ in range(MAX_PURGE_BATCHES):
            with self.begin() as work:
                purged = work.idempotency.purge(PURGE_BATCH)
                work.commit()
            total += purged
            if purged < PURGE_BATCH:
                break
        return total


@dataclass(frozen=True, slots=True)
class Health:
    checks: Mapping[str, bool]
    ready: bool
    """Whether every vital dependency is up."""

    @property
    def degraded(self) -> bool:
        return self.ready and not all(self.checks.values())


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Ask every dependency whether it is up."""

    dependencies: Sequence[Dependency]

    def __call__(self) -> Health:
        checks = {dependency.name: dependency.is_up() for dependency in self.dependencies}
        vital = (checks[dependency.name] for dependency in self.dependencies if dependency.vital)
        return Health(checks, all(vital))
