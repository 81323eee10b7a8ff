"""A job queue that callers do not wait for."""

import threading
import time
from typing import Final

from atomic_core.ports.job_queue import Job, JobQueue

MIN_INTERVAL_SECONDS: Final = 0.005
"""Between two notifications by one process. Under load one notification announces the work of many
requests; 5 ms are short beside the time a payment waits to be settled."""


class BackgroundNotifier:
    """A `JobQueue` port that notifies from a background thread.

    Requests do not need the outcome of a notification, and concurrent requests share one. A
    notification that is lost with the process delays the work until the sweeper finds it.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._pending: set[Job] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def notify(self, job: Job) -> None:
        with self._condition:
            self._pending.add(job)
            if self._thread is None or not self._thread.is_alive():
                # Started here, not in __init__: threads do not survive a fork.
                self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
                self._thread.start()
            self._condition.notify()

    def clear(self, job: Job) -> None:
        self._queue.clear(job)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending)
                pending, self._pending = self._pending, set()
            # Callers notify after their commit, so the job sees the work of all of them.
            for job in pending:
                self._queue.notify(job)
            time.sleep(MIN_INTERVAL_SECONDS)
