"""Sends the deliveries of a round, several at once."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from atomic_core.domain.webhook_rounds import Round, RoundItem
from atomic_core.domain.webhooks import WebhookResult

FIRST_TASKS: Final = 2
"""That a round begins with. Receivers that answer within milliseconds need no more, and more
threads would only compete for the interpreter."""

GROWTH_SECONDS: Final = 0.01
"""After which a round that has not ended doubles its tasks."""

TURN_SECONDS: Final = 0.05
"""How long a task keeps its thread while other rounds wait for one. A delivery that takes longer is
the only one of its turn."""


@dataclass(slots=True)
class RoundSending:
    """The tasks that send a round. Each sends one delivery after the other: to hand each delivery
    to another thread and back would take longer than to send it."""

    round: Round
    threads: ThreadPoolExecutor
    """Shared by all rounds."""
    send: Callable[[RoundItem], WebhookResult]
    get_time: Callable[[], datetime]
    should_stop: Callable[[], bool]
    """Checked before each delivery."""
    _tasks: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _has_ended: threading.Event = field(default_factory=threading.Event)
    _errors: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        """Returns when nothing is in flight any more. Raises what `send` has raised."""
        limit = FIRST_TASKS
        with self._lock:
            self._start_tasks(limit)
        while not self._has_ended.wait(GROWTH_SECONDS):
            with self._lock:
                if self._tasks < self.round.max_concurrent:
                    limit *= 2
                    self._start_tasks(limit)
        if self._errors:
            raise self._errors[0]

    def _start_tasks(self, limit: int) -> None:
        """Up to `limit` tasks, of those that the round allows and has deliveries for."""
        if self._has_ended.is_set():
            return
        allowed = min(limit, self.round.max_concurrent, self.round.remaining)
        for _ in range(allowed - self._tasks):
            self.threads.submit(self._run_task)
            self._tasks += 1
        if self._tasks == 0:
            self._has_ended.set()

    def _run_task(self) -> None:
        turn_end = time.monotonic() + TURN_SECONDS
        item = self._take_next()
        try:
            while item is not None:
                result = self.send(item)
                with self._lock:
                    self.round.finish(item, result, self.get_time(), random.random())  # noqa: S311
                if time.monotonic() >= turn_end:
                    self.threads.submit(self._run_task)
                    return
                item = self._take_next()
        except BaseException as error:  # noqa: BLE001 - raised by run()
            self._end_task(error)

    def _take_next(self) -> RoundItem | None:
        """None ends the task."""
        with self._lock:
            if self.should_stop():
                self.round.stop()
            item = self.round.take_next()
        if item is None:
            self._end_task()
        return item

    def _end_task(self, error: BaseException | None = None) -> None:
        with self._lock:
            if error is not None:
                self._errors.append(error)
                self.round.stop()
            self._tasks -= 1
            if self._tasks == 0:
                self._has_ended.set()
