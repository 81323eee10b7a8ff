"""A bell that nobody has to wait for."""

import threading
import time
from typing import Final

from atomic_core.ports.job_queue import Job, JobQueue

PAUSE_SECONDS: Final = 0.005
"""Between two rings of a process: under load one ring announces what many have brought, and
that a payment is announced this much later is nothing beside what it waits in line."""


class BackgroundNotifier:
    """Rings a bell in a thread of its own; rings that come while it is ringing become one more.

    A request has no interest in the answer, and many at once need one ring between them. What
    a dying process has not rung yet, the sweeper finds.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._wanted: set[Job] = set()
        self._called = threading.Condition()
        self._ringer: threading.Thread | None = None

    def notify(self, job: Job) -> None:
        with self._called:
            self._wanted.add(job)
            if self._ringer is None or not self._ringer.is_alive():
                # Now, not when we were made: a thread does not survive a fork.
                self._ringer = threading.Thread(target=self._run, name="bell", daemon=True)
                self._ringer.start()
            self._called.notify()

    def clear(self, job: Job) -> None:
        self._queue.clear(job)

    def _run(self) -> None:
        while True:
            with self._called:
                self._called.wait_for(lambda: self._wanted)
                wanted, self._wanted = self._wanted, set()
            # Only now: whoever was heard before has committed, so the job will see their work.
            for job in wanted:
                self._queue.notify(job)
            time.sleep(PAUSE_SECONDS)
