"""Wake-ups for the worker."""

from enum import StrEnum
from typing import Protocol


class Job(StrEnum):
    """Work that a bell can announce."""

    SETTLE = "settle"


class JobQueue(Protocol):
    def notify(self, job: Job) -> None:
        """Say that there is work. Coalesced, bounded in time (0.25 s), and never an error: the
        work is in the store, and the sweeper finds what a lost ring did not announce."""
        ...

    def clear(self, job: Job) -> None:
        """Said by the worker before it looks for work, so that later work rings again."""
        ...
