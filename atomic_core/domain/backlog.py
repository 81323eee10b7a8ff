"""Payments and refunds that are due and that no worker has claimed."""

from datetime import timedelta
from typing import Final, NamedTuple

BACKLOG_ALARM: Final = timedelta(seconds=15)
"""Above this age, work is not being done: a worker claims what is due within milliseconds, and
without a worker or Redis the sweeper does within its interval."""

MAX_COUNTED: Final = 1_000
"""Items of a kind and card network that are counted. Bounds the time of the query, which readiness
probes run."""


class Backlog(NamedTuple):
    due: int
    """Up to MAX_COUNTED payments and as many refunds per card network."""
    oldest_age: timedelta
    """How long the oldest of them could have been claimed; 0 without one."""

    @property
    def is_stalled(self) -> bool:
        return self.oldest_age >= BACKLOG_ALARM


NO_BACKLOG: Final = Backlog(0, timedelta())
