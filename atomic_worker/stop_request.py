"""Being asked to stop, as something to wait for."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Self

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

REPEAT_SECONDS: Final = 0.5
"""One wish to stop may arrive twice: from a process group, and passed on by make."""


class StopRequest:
    """Counts how often this process is asked to stop, and ends every wait at the first.

    A pipe, not a threading.Event: a handler that runs while the main thread is inside
    Event.wait would wait for ever for the lock that the main thread holds.
    """

    def __init__(self) -> None:
        self.count = 0
        self._made_at = float("-inf")
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    @classmethod
    @contextmanager
    def on_signals(cls) -> Iterator[Self]:
        """A request that SIGTERM, SIGINT and SIGHUP make, until the block ends. One that is
        ignored, as under nohup, stays so."""
        request = cls()
        heeded = [each for each in STOP_SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
        before = {number: signal.signal(number, request._handle) for number in heeded}
        try:
            yield request
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            request.close()

    @property
    def made(self) -> bool:
        return self.count > 0

    def make(self) -> None:
        """Ask to stop. May be called anywhere, signal handlers included."""
        now = time.monotonic()
        if now - self._made_at >= REPEAT_SECONDS:
            self.count += 1
        self._made_at = now
        self.wake()

    def wake(self) -> None:
        """End the present wait, or the next one, early."""
        # A full pipe wakes as well as another byte would.
        with suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait to be asked, for this long at most; whether we were."""
        if not self.made and select.select([self], [], [], seconds)[0]:
            self.drain()
        return self.made

    def fileno(self) -> int:
        """For select: readable when a wait should end."""
        return self._reader

    def drain(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._reader, 4_096):
                pass

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.make()
