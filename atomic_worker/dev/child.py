"""One process under the supervisor's care."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

STABLE_SECONDS: Final = 5.0
"""Having lived this long, a child that dies is restarted at once, as after its first death."""

FIRST_PAUSE_SECONDS: Final = 0.25

MAX_PAUSE_SECONDS: Final = 5.0
"""Between restarts of a child that keeps dying: often enough to come back soon after its cause
is gone, seldom enough to read what it says."""

Ending = tuple[signal.Signals, float]
"""A signal, and the seconds to wait before the next."""


class Launched(NamedTuple):
    process: subprocess.Popen[bytes]
    output: int | None = None
    """The descriptor to read its log from; None if it writes its own."""
    release: Callable[[], None] = lambda: None
    """Called once it has ended."""


@dataclass(slots=True)
class Child:
    """Starts, ends and, if it dies, starts again."""

    name: str
    launch: Callable[[], Launched]
    endings: Sequence[Ending]
    """How to end it, from polite to final."""
    launched: Launched | None = None
    due_at: float = 0.0
    """When to start it next, if it does not run."""
    _started_at: float = 0.0
    _failures: int = 0
    _ending: deque[Ending] = field(default_factory=deque)
    _deadline: float = float("inf")

    @property
    def running(self) -> bool:
        return self.launched is not None

    @property
    def ending(self) -> bool:
        """Whether it was asked to end."""
        return self._deadline < float("inf")

    def start(self) -> None:
        """Raises what `launch` raises."""
        self._started_at = time.monotonic()
        self.launched = self.launch()

    def end(self) -> None:
        """Ask it to end; `tend` insists. Asked again, it changes nothing."""
        if self.running and not self.ending:
            self._ending = deque(self.endings)
            self._next_signal()

    def kill(self) -> None:
        """End it now."""
        if self.running:
            self._ending = deque(self.endings[-1:])
            self._next_signal()

    def tend(self) -> int | None:
        """See to it; its exit status if it has just ended, negative for a signal."""
        if self.launched is None:
            return None
        status = self.launched.process.poll()
        if status is None:
            if time.monotonic() >= self._deadline:
                self._next_signal()
            return None
        # Whatever it started and did not take with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.launched.process.pid, signal.SIGKILL)
        self.launched.release()
        self.launched = None
        self._deadline = float("inf")
        return status

    def postpone(self) -> float:
        """Plan the restart after a death or a failed start; the seconds until then."""
        now = time.monotonic()
        if now - self._started_at >= STABLE_SECONDS:
            self._failures = 0
        pause = FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1) if self._failures else 0.0
        pause = min(pause, MAX_PAUSE_SECONDS)
        # Bounded, so that the power above is.
        self._failures = min(self._failures + 1, 10)
        self.due_at = now + pause
        return pause

    def _next_signal(self) -> None:
        if self.launched is None or not self._ending:
            return
        number, seconds = self._ending.popleft()
        self._deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError, PermissionError):
            if number is signal.SIGKILL:
                os.killpg(self.launched.process.pid, number)
            self.launched.process.send_signal(number)
