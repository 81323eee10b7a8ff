"""Keeps child processes running, shows what they say, and ends them in order."""

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
"""How often `each_tick` is called, and deadlines are looked at. Deaths and signals end the wait
by themselves."""

READ_BYTES: Final = 65_536

MAX_LINE_BYTES: Final = 65_536
"""A longer line is shown in pieces, so that a child that never ends one cannot fill memory."""

COLOURS: Final = ("cyan", "green", "yellow", "magenta", "blue")


@dataclass(slots=True)
class Supervisor:
    """Runs the stages' children. A later stage needs the ones before it: it is started after
    them and ended before them.

    Lives in the main thread: children die with the thread that started them.
    """

    stages: Sequence[Sequence[Child]]
    stop: StopRequest
    each_tick: Callable[[], None] = lambda: None
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _unfinished: dict[str, bytes] = field(default_factory=dict)

    @property
    def children(self) -> list[Child]:
        return [child for stage in self.stages for child in stage]

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """However the block ends, every child ends with it, in order."""
        self._selector.register(self.stop, selectors.EVENT_READ)
        before = signal.signal(signal.SIGCHLD, lambda *_: self.stop.wake())
        try:
            yield
        finally:
            self.stop.request()
            self._end_all()
            signal.signal(signal.SIGCHLD, before)
            self._selector.close()

    def run(self) -> None:
        """Keep everything running until asked to stop. Only while in charge."""
        while not self.stop.is_requested:
            self._start_due()
            self.each_tick()
            self._turn()

    def renew(self, names: Sequence[str]) -> None:
        """End these children; they are started again at once, and it counts as no failure."""
        for child in self.children:
            if child.name in names:
                child.end()

    def say(self, name: str, line: str) -> None:
        width = max(len(child.name) for child in self.children)
        names = [child.name for child in self.children]
        colour = COLOURS[names.index(name) % len(COLOURS)] if name in names else "white"
        try:
            click.echo(f"{click.style(f'{name:<{width}} |', fg=colour)} {line}")
        except BrokenPipeError:
            # Nobody reads any more, as under `| head`. Python would write once more on its way
            # out, so it is given a place to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.stop.request()

    def _start_due(self) -> None:
        for child in self.children:
            if child.running or time.monotonic() < child.due_at:
                continue
            try:
                child.start()
            except (OSError, EmbeddedServerError) as error:
                pause = child.postpone()
                self.say(child.name, f"did not start, trying again in {pause:.2g} s: {error}")
                # What comes after may need it.
                return
            if child.launched and child.launched.output is not None:
                os.set_blocking(child.launched.output, False)
                self._selector.register(child.launched.output, selectors.EVENT_READ, child.name)

    def _turn(self) -> None:
        """Wait for something to happen, and see to it."""
        for key, _ in self._selector.select(self._pause()):
            if key.data is None:
                self.stop.clear_wakeups()
            else:
                self._read(key.fd, key.data)
        for child in self.children:
            asked = child.ending
            status = child.tend()
            if status is not None and not self.stop.is_requested:
                self._died(child, status, asked=asked)

    def _pause(self) -> float:
        waiting = [child.due_at for child in self.children if not child.running]
        return max(0.0, min([TICK_SECONDS, *(due - time.monotonic() for due in waiting)]))

    def _died(self, child: Child, status: int, *, asked: bool) -> None:
        if asked:
            child.due_at = 0.0
            return
        pause = child.postpone()
        when = f"in {pause:.2g} s" if pause else "at once"
        self.say(child.name, f"{_told(status)}; starting it again {when}")

    def _read(self, descriptor: int, name: str) -> None:
        try:
            read = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        *lines, rest = (self._unfinished.pop(name, b"") + read).split(b"\n")
        if rest and (not read or len(rest) > MAX_LINE_BYTES):
            lines.append(rest)
        elif rest:
            self._unfinished[name] = rest
        for line in lines:
            self.say(name, line.decode(errors="replace"))
        if not read:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _end_all(self) -> None:
        """Last stage first. Asked to stop a second time, everything is killed at once."""
        for stage in reversed(self.stages):
            for child in stage:
                child.end()
            while any(child.running for child in stage):
                if self.stop.count > 1:
                    for child in self.children:
                        child.kill()
                self._turn()
        # What they said last.
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._read(key.fd, key.data)


def _told(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
