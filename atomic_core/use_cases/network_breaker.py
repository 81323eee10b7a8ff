"""The circuit breaker of one card network: while the network does not answer, its payments are left
in the queue."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from atomic_core.domain.card_networks import NetworkResponse

THRESHOLD: Final = 10
"""Requests without an answer, and no batch that was mostly answered between them, that open the
breaker: more than a network loses by chance, and few payments in doubt."""

FIRST_PAUSE: Final = timedelta(seconds=1)
"""Of an open breaker, before one payment is tried; doubled after each that gets no answer."""

LONGEST_PAUSE: Final = timedelta(minutes=1)


@dataclass(slots=True)
class NetworkBreaker:
    """How many claims a batch may have. Closed: as many as usual. Open: none during a pause, then
    one. What is not claimed uses up nothing: no attempt, no back-off, no patience.

    In the memory of one process. Used by several threads at once."""

    threshold: int = THRESHOLD
    monotonic: Callable[[], float] = time.monotonic
    _unanswered: int = 0
    _pause: timedelta | None = None
    """None while it is closed."""
    _next_trial: float = 0.0
    _is_reported_open: bool = False
    _was_open: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_open(self) -> bool:
        return self._pause is not None

    def limit(self, batch_size: int) -> int:
        """The most claims of the batch that begins now."""
        with self._lock:
            if self._pause is None:
                return batch_size
            now = self.monotonic()
            if now < self._next_trial:
                return 0
            # Another thread waits for its outcome. If nothing is due, the next trial comes later.
            self._next_trial = now + self._pause.total_seconds()
            return 1

    def record(self, responses: Iterable[NetworkResponse]) -> None:
        """Count the responses of one batch."""
        answers = [
            response.is_answered for response in responses if response.is_answered is not None
        ]
        unanswered = answers.count(False)
        if not answers:
            return
        with self._lock:
            if unanswered * 2 <= len(answers):
                self._unanswered, self._pause = 0, None
                return
            self._unanswered += unanswered
            if self._pause is not None:
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            elif self._unanswered >= self.threshold:
                self._pause = FIRST_PAUSE
            else:
                return
            self._next_trial = self.monotonic() + self._pause.total_seconds()

    def get_wait(self) -> float | None:
        """Seconds until one payment is tried; None while it is closed."""
        with self._lock:
            if self._pause is None:
                return None
            return max(0.0, self._next_trial - self.monotonic())

    def take_report(self) -> bool:
        """Whether there is something to report: it is open, or was at the last call."""
        with self._lock:
            was_open, self._was_open = self._was_open, self._pause is not None
            return was_open or self._was_open

    def take_change(self) -> bool | None:
        """Whether it is open, if that differs from the last call; else None."""
        with self._lock:
            is_open = self._pause is not None
            if is_open == self._is_reported_open:
                return None
            self._is_reported_open = is_open
            return is_open
