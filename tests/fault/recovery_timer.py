"""Samples, all the while, of how many payments were accepted and how many of them are settled."""

import time
from dataclasses import dataclass, field
from typing import Final

import psycopg

from fault.audit_loop import Rounds

SAMPLE_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds since the run began."""
    accepted: int
    """As clients were told."""
    settled: int | None
    """None while PostgreSQL cannot be asked."""


@dataclass
class Watch(Rounds):
    samples: list[Sample] = field(default_factory=list)

    def round(self) -> None:
        self.pause = SAMPLE_SECONDS
        settled: int | None = None
        try:
            with self.connect() as connection:
                # The open ones are few and have an index; counting the others would take longer
                # and longer.
                [(still_open,)] = connection.execute(
                    "SELECT count(*) FROM payments WHERE phase = 'OPEN'"
                )
                settled = self.book.count_accepted - still_open
        except psycopg.OperationalError:
            pass  # One of the faults; the gap is part of the picture.
        at = time.monotonic() - self.book.begun
        self.samples.append(Sample(at, self.book.count_accepted, settled))
