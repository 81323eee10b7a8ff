"""The process that delivers webhooks beside a worker that settles."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from atomic_adapters.embedded.child_process import start_child, wait_for_exit

COMMAND: Final = (sys.executable, "-m", "atomic_worker", "worker", "--queues", "webhooks")

RESTART_SECONDS: Final = 1.0
"""Before it is started again: it may have ended because Redis is away."""

STOP_SECONDS: Final = 6.0
"""How long it may take to stop; webhooks in flight then are sent again. Below the ten seconds after
which supervisors kill the worker."""

_log = structlog.get_logger(__name__)


@contextmanager
def run_companion() -> Iterator[Callable[[], None]]:
    """Keep the process running until the block ends; then stop it, and wait for its end. What the
    block gets begins the stop earlier, also from a signal handler.

    A thread starts it, because on Linux a child process gets its signal when the thread that has
    started it ends: also if this process is killed.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_supervise, args=(stop,), name="webhook-worker")
    thread.start()
    try:
        yield stop.set
    finally:
        stop.set()
        thread.join()


def _supervise(stop: threading.Event) -> None:
    while not stop.is_set():
        process = start_child(COMMAND)
        while not stop.is_set():
            if wait_for_exit(process, RESTART_SECONDS / 4):
                _log.warning("webhook worker ended; starting it again", status=process.returncode)
                stop.wait(RESTART_SECONDS)
                break
        else:
            process.terminate()
            if not wait_for_exit(process, STOP_SECONDS):
                process.kill()
                process.wait()
