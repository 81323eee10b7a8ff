"""Requests to stop this process, by signal or by code, which end its waits."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Self

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

DEBOUNCE_SECONDS: Final = 0.5
"""One Ctrl-C may arrive twice: from the terminal's process group and forwarded by make."""


class StopRequest:
    """Counts stop requests; the first one ends every wait.

    Uses a pipe because threading.Event deadlocks here: a signal handler that runs while the main
    thread is inside Event.wait would wait for the lock that the main thread holds.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last_request_at = float("-inf")
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    @classmethod
    @contextmanager
    def on_signals(cls) -> Iterator[Self]:
        """Until the block ends, SIGTERM, SIGINT and SIGHUP request a stop. An ignored signal, as
        under nohup, stays ignored."""
        stop = cls()
        handled = [
            number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
        ]
        previous_handlers = {
            number: signal.signal(number, stop._handle_signal) for number in handled
        }
        try:
            yield stop
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)
            stop.close()

    @property
    def is_requested(self) -> bool:
        return self.count > 0

    def request(self) -> None:
        """Request a stop. Safe in signal handlers."""
        now = time.monotonic()
        if now - self._last_request_at >= DEBOUNCE_SECONDS:
            self.count += 1
        self._last_request_at = now
        self.wake()

    def wake(self) -> None:
        """End the current wait, or the next one, early."""
        # A full pipe ends a wait too.
        with suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for a request; return whether there is one."""
        if not self.is_requested and select.select([self], [], [], seconds)[0]:
            self.clear_wakeups()
        return self.is_requested

    def fileno(self) -> int:
        """For select(): readable when a wait should end."""
        return self._reader

    def clear_wakeups(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._reader, 4_096):
                pass

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.request()
