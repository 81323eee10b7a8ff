"""Something that is done over and over beside the run, in a thread of its own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from fault.oracle import Book

JOIN_SECONDS = 60
"""For the round in hand: an audit of a large ledger."""


@dataclass
class Rounds:
    connect: Callable[[], psycopg.Connection[Any]]
    book: Book
    pause: float = field(init=False, default=0.0)
    """Seconds until the next round."""
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)
    _error: Exception | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)
        self._thread.start()

    def stop(self) -> None:
        """Raises what ended the rounds before their time: a run that nobody watched is none."""
        self._over.set()
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._thread.name} does not end")
        if self._error is not None:
            raise self._error

    def round(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        try:
            while not self._over.wait(self.pause):
                self.round()
        except Exception as error:  # noqa: BLE001 - raised by stop()
            self._error = error
