"""A bell that nobody waits for."""

import threading

from atomic_adapters.redis.background_notifier import BackgroundNotifier
from atomic_core.ports.job_queue import Job
from processes import wait_until

PATIENCE_SECONDS = 10


class SlowBell:
    """Takes as long to ring as it is made to."""

    def __init__(self) -> None:
        self.begun = 0
        self.rung = 0
        self.reset = 0
        self.let = threading.Semaphore(0)

    def notify(self, job: Job) -> None:
        self.begun += 1
        assert self.let.acquire(timeout=PATIENCE_SECONDS)
        self.rung += 1

    def clear(self, job: Job) -> None:
        self.reset += 1


def test_nobody_waits_and_many_rings_become_one_more() -> None:
    slow = SlowBell()
    bell = BackgroundNotifier(slow)
    bell.notify(Job.SETTLE)
    wait_until(lambda: slow.begun == 1, PATIENCE_SECONDS, "it is ringing")
    for _ in range(100):
        bell.notify(Job.SETTLE)
    assert slow.rung == 0
    slow.let.release(2)
    # Work that came while it was ringing is announced after it came.
    wait_until(lambda: slow.rung == 2, PATIENCE_SECONDS, "it has rung once more")
    assert slow.begun == 2


def test_it_rings_each_time_there_is_something_new() -> None:
    slow = SlowBell()
    bell = BackgroundNotifier(slow)
    slow.let.release(3)
    for times in (1, 2, 3):
        bell.notify(Job.SETTLE)
        wait_until(lambda times=times: slow.rung == times, PATIENCE_SECONDS, "it has rung")


def test_to_reset_it_is_done_at_once() -> None:
    slow = SlowBell()
    BackgroundNotifier(slow).clear(Job.SETTLE)
    assert slow.reset == 1


def test_a_ringer_that_died_is_replaced() -> None:
    """As after a fork, which takes no threads along."""
    slow = SlowBell()
    bell = BackgroundNotifier(slow)
    dead = threading.Thread(target=lambda: None)
    dead.start()
    dead.join()
    bell._thread = dead
    slow.let.release()
    bell.notify(Job.SETTLE)
    wait_until(lambda: slow.rung == 1, PATIENCE_SECONDS, "it has rung")
