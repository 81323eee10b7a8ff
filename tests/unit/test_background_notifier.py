"""Wake-ups are sent in the background."""

import threading

from atomic_adapters.redis.background_notifier import BackgroundNotifier
from atomic_core.ports.job_queue import Job
from processes import wait_until

GUARD_SECONDS = 60


class SlowJobQueue:
    """Waits in `notify` until the test releases it."""

    def __init__(self) -> None:
        self.started = 0
        self.sent = 0
        self.cleared = 0
        self.released = threading.Semaphore(0)

    def notify(self, job: Job) -> None:
        self.started += 1
        assert self.released.acquire(timeout=GUARD_SECONDS)
        self.sent += 1

    def clear(self, job: Job) -> None:
        self.cleared += 1


def test_notify_does_not_wait_and_calls_are_coalesced() -> None:
    job_queue = SlowJobQueue()
    notifier = BackgroundNotifier(job_queue)
    notifier.notify(Job.SETTLE)
    wait_until(lambda: job_queue.started == 1, GUARD_SECONDS, "it is sending")
    for _ in range(100):
        notifier.notify(Job.SETTLE)
    assert job_queue.sent == 0
    job_queue.released.release(2)
    # A notification during a send is sent after it.
    wait_until(lambda: job_queue.sent == 2, GUARD_SECONDS, "it has sent one more")
    assert job_queue.started == 2


def test_each_new_notification_is_sent() -> None:
    job_queue = SlowJobQueue()
    notifier = BackgroundNotifier(job_queue)
    job_queue.released.release(3)
    for count in (1, 2, 3):
        notifier.notify(Job.SETTLE)
        wait_until(lambda count=count: job_queue.sent == count, GUARD_SECONDS, "it has sent")


def test_clear_is_called_at_once() -> None:
    job_queue = SlowJobQueue()
    BackgroundNotifier(job_queue).clear(Job.SETTLE)
    assert job_queue.cleared == 1


def test_dead_notifier_thread_is_replaced() -> None:
    """As after a fork, which does not copy threads."""
    job_queue = SlowJobQueue()
    notifier = BackgroundNotifier(job_queue)
    dead_thread = threading.Thread(target=lambda: None)
    dead_thread.start()
    dead_thread.join()
    notifier._thread = dead_thread
    job_queue.released.release()
    notifier.notify(Job.SETTLE)
    wait_until(lambda: job_queue.sent == 1, GUARD_SECONDS, "it has sent")
