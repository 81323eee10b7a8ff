"""Samples how many payments are accepted and how many are settled, for the chart."""

import time
from dataclasses import dataclass, field
from typing import Final

import psycopg

from fault.periodic_task import PeriodicTask

SAMPLE_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds since the run started."""
    accepted_count: int
    """Payments that clients saw accepted."""
    settled_count: int | None
    """None while PostgreSQL is unreachable."""


@dataclass
class ProgressSampler(PeriodicTask):
    samples: list[Sample] = field(default_factory=list)

    def execute(self) -> None:
        self.pause_seconds = SAMPLE_SECONDS
        settled_count: int | None = None
        try:
            with self.connect() as connection:
                # Open payments are few and indexed; counting settled ones takes longer and longer.
                [(open_count,)] = connection.execute(
                    "SELECT count(*) FROM payments WHERE phase = 'OPEN'"
                )
                settled_count = self.oracle.accepted_count - open_count
        except psycopg.OperationalError:
            pass  # A fault took PostgreSQL down; the chart shows the gap.
        at = time.monotonic() - self.oracle.started
        self.samples.append(Sample(at, self.oracle.accepted_count, settled_count))
