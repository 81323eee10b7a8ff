"""A task that runs repeatedly during the run, in its own thread."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from fault.oracle import Oracle

JOIN_SECONDS = 120
"""Until the current execution ends: an audit of a large ledger takes long."""


@dataclass
class PeriodicTask:
    connect: Callable[[], psycopg.Connection[Any]]
    oracle: Oracle
    pause_seconds: float = field(init=False, default=0.0)
    """Until the next execution."""
    _stop_requested: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)
    _error: Exception | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)
        self._thread.start()

    def stop(self) -> None:
        """Raises the error that ended the task early: an unaudited run proves nothing."""
        self._stop_requested.set()
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._thread.name} did not stop within {JOIN_SECONDS} s")
        if self._error is not None:
            raise self._error

    def execute(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        try:
            while not self._stop_requested.wait(self.pause_seconds):
                self.execute()
        except Exception as error:  # noqa: BLE001 - raised by stop()
            self._error = error
