"""Samples, all the while, of how many payments were accepted and how many of them are settled."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from fault.book import Book

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
class Watch:
    connect: Callable[[], psycopg.Connection[Any]]
    book: Book
    samples: list[Sample] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            settled: int | None = None
            try:
                with self.connect() as connection:
                    # The open ones are few and have an index; counting the others would take
                    # longer and longer.
                    [(still_open,)] = connection.execute(
                        "SELECT count(*) FROM payments WHERE is_open"
                    )
                    settled = self.book.count_accepted - still_open
            except psycopg.OperationalError:
                pass  # One of the faults; the gap is part of the picture.
            at = time.monotonic() - self.book.begun
            self.samples.append(Sample(at, self.book.count_accepted, settled))
