"""A supervised process."""

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
"""A child that has run this long before it exits is restarted at once, as after its first exit."""

FIRST_PAUSE_SECONDS: Final = 0.25

MAX_PAUSE_SECONDS: Final = 5.0
"""Between restarts of a child that keeps exiting: short enough to recover soon after the cause is
removed, long enough to read its output."""

StopStep = tuple[signal.Signals, float]
"""A signal, and the seconds to wait before the next step."""


class LaunchedProcess(NamedTuple):
    process: subprocess.Popen[bytes]
    output: int | None = None
    """The file descriptor to read its output from; None if it writes a log file."""
    release: Callable[[], None] = lambda: None
    """Called when the process has ended."""


@dataclass(slots=True)
class Child:
    """A process that is started, stopped, and restarted when it exits."""

    name: str
    launch: Callable[[], LaunchedProcess]
    stop_steps: Sequence[StopStep]
    """Signals to send in turn until it has ended; the last is SIGKILL."""
    launched_process: LaunchedProcess | None = None
    start_at: float = 0.0
    """When to start it, if it does not run; monotonic time."""
    _started_at: float = 0.0
    _failures: int = 0
    _pending_steps: deque[StopStep] = field(default_factory=deque)
    _deadline: float = float("inf")

    @property
    def is_running(self) -> bool:
        return self.launched_process is not None

    @property
    def is_stopping(self) -> bool:
        return self._deadline < float("inf")

    def start(self) -> None:
        """Start the process. Raises what `launch` raises."""
        self._started_at = time.monotonic()
        self.launched_process = self.launch()

    def stop(self) -> None:
        """Send the first stop signal; `poll` sends the next ones. Has no effect if repeated."""
        if self.is_running and not self.is_stopping:
            self._pending_steps = deque(self.stop_steps)
            self._send_next_signal()

    def kill(self) -> None:
        """Send the last stop signal now."""
        if self.is_running:
            self._pending_steps = deque(self.stop_steps[-1:])
            self._send_next_signal()

    def poll(self) -> int | None:
        """Return the exit status if the process has just ended, negative for a signal. Sends the
        next stop signal when it is due."""
        if self.launched_process is None:
            return None
        status = self.launched_process.process.poll()
        if status is None:
            if time.monotonic() >= self._deadline:
                self._send_next_signal()
            return None
        # Its descendants that are still running.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.launched_process.process.pid, signal.SIGKILL)
        self.launched_process.release()
        self.launched_process = None
        self._deadline = float("inf")
        return status

    def postpone(self) -> float:
        """Schedule the restart after an exit or a failed start; return the seconds until then."""
        now = time.monotonic()
        if now - self._started_at >= STABLE_SECONDS:
            self._failures = 0
        pause = FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1) if self._failures else 0.0
        pause = min(pause, MAX_PAUSE_SECONDS)
        # Bounded, so that the exponent above is.
        self._failures = min(self._failures + 1, 10)
        self.start_at = now + pause
        return pause

    def _send_next_signal(self) -> None:
        if self.launched_process is None or not self._pending_steps:
            return
        number, seconds = self._pending_steps.popleft()
        self._deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError, PermissionError):
            if number is signal.SIGKILL:
                os.killpg(self.launched_process.process.pid, number)
            self.launched_process.process.send_signal(number)
