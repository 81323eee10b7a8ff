"""Wake-ups for the worker."""

from enum import StrEnum
from typing import Protocol


class Job(StrEnum):
    """A kind of work."""

    SETTLE = "settle"
    DELIVER = "deliver"
    """Webhooks."""


class JobQueue(Protocol):
    def notify(self, job: Job) -> None:
        """Wake a worker. Carries no payload: due work is read from PostgreSQL, so a lost or
        duplicate wake-up is harmless. Coalesced, takes at most 0.25 s, never raises."""
        ...

    def clear(self, job: Job) -> None:
        """Let the next `notify` enqueue a wake-up again. The worker calls it before it claims
        work."""
        ...
