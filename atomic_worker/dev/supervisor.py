"""Keeps child processes running, prints their output, and stops them in order."""

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import click

from atomic_adapters.embedded import EmbeddedServerError
from atomic_worker.dev.child import Child
from atomic_worker.stop_request import StopRequest

TICK_SECONDS: Final = 0.25
"""Between two calls of `on_tick` and checks of deadlines. Exits of children and signals end the
wait early."""

READ_BYTES: Final = 65_536

MAX_LINE_BYTES: Final = 65_536
"""A longer line is printed in parts, so that a line without an end does not fill memory."""

NAME_COLOURS: Final = ("cyan", "green", "yellow", "magenta", "blue")


@dataclass(slots=True)
class Supervisor:
    """Runs the children of all stages. A later stage depends on the earlier ones: it is started
    after them and stopped before them.

    Belongs in the main thread: children end with the thread that started them.
    """

    stages: Sequence[Sequence[Child]]
    stop: StopRequest
    on_tick: Callable[[], None] = lambda: None
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _partial_lines: dict[str, bytes] = field(default_factory=dict)

    @property
    def children(self) -> list[Child]:
        return [child for stage in self.stages for child in stage]

    @contextmanager
    def stop_children_on_exit(self) -> Iterator[None]:
        """Stop every child, in order, when the block ends or raises."""
        self._selector.register(self.stop, selectors.EVENT_READ)
        previous_handler = signal.signal(signal.SIGCHLD, lambda *_: self.stop.wake())
        try:
            yield
        finally:
            # A second request would kill the children.
            if not self.stop.is_requested:
                self.stop.request()
            self._stop_children()
            signal.signal(signal.SIGCHLD, previous_handler)
            self._selector.close()

    def run(self) -> None:
        """Keep the children running until a stop is requested. Call it inside
        `stop_children_on_exit`."""
        while not self.stop.is_requested:
            self._start_due()
            self.on_tick()
            self._wait_and_handle_events()

    def restart_children(self, names: Sequence[str]) -> None:
        """Stop these children and start them again at once. It does not count as a failure."""
        for child in self.children:
            if child.name in names:
                child.stop()

    def print_line(self, name: str, line: str) -> None:
        """Print a line under the name of its process. Requests a stop if stdout is closed."""
        width = max(len(child.name) for child in self.children)
        names = [child.name for child in self.children]
        colour = NAME_COLOURS[names.index(name) % len(NAME_COLOURS)] if name in names else "white"
        try:
            click.echo(f"{click.style(f'{name:<{width}} |', fg=colour)} {line}")
        except BrokenPipeError:
            # The reader has ended, as in `| head`. Python flushes stdout at exit: replace it, or
            # that fails too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.stop.request()

    def _start_due(self) -> None:
        for child in self.children:
            if child.is_running or time.monotonic() < child.start_at:
                continue
            try:
                child.start()
            except (OSError, EmbeddedServerError) as error:
                pause = child.postpone()
                self.print_line(
                    child.name, f"did not start, trying again in {pause:.2g} s: {error}"
                )
                # The children after it may depend on it.
                return
            if child.launched_process and child.launched_process.output is not None:
                os.set_blocking(child.launched_process.output, False)
                self._selector.register(
                    child.launched_process.output, selectors.EVENT_READ, child.name
                )

    def _wait_and_handle_events(self) -> None:
        """Wait for output, an exit, a signal or the next tick, and handle it."""
        for key, _ in self._selector.select(self._get_timeout()):
            if key.data is None:
                self.stop.clear_wakeups()
            else:
                self._read_output(key.fd, key.data)
        for child in self.children:
            was_stopping = child.is_stopping
            status = child.poll()
            if status is not None and not self.stop.is_requested:
                self._schedule_restart(child, status, was_stopping=was_stopping)

    def _get_timeout(self) -> float:
        """Seconds until the next tick or start of a child."""
        starts = [child.start_at for child in self.children if not child.is_running]
        return max(0.0, min([TICK_SECONDS, *(start - time.monotonic() for start in starts)]))

    def _schedule_restart(self, child: Child, status: int, *, was_stopping: bool) -> None:
        if was_stopping:
            child.start_at = 0.0
            return
        pause = child.postpone()
        when = f"in {pause:.2g} s" if pause else "at once"
        self.print_line(child.name, f"{_format_exit(status)}; starting it again {when}")

    def _read_output(self, descriptor: int, name: str) -> None:
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        *lines, partial_line = (self._partial_lines.pop(name, b"") + data).split(b"\n")
        if partial_line and (not data or len(partial_line) > MAX_LINE_BYTES):
            lines.append(partial_line)
        elif partial_line:
            self._partial_lines[name] = partial_line
        for line in lines:
            self.print_line(name, line.decode(errors="replace"))
        if not data:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _stop_children(self) -> None:
        """Stop the stages, last first. A second stop request kills all children at once."""
        for stage in reversed(self.stages):
            for child in stage:
                child.stop()
            while any(child.is_running for child in stage):
                if self.stop.count > 1:
                    for child in self.children:
                        child.kill()
                self._wait_and_handle_events()
        # Their last output.
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._read_output(key.fd, key.data)


def _format_exit(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
