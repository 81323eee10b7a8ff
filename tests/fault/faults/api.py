"""The API is killed between COMMIT and reply, killed entirely, or stopped by SIGTERM."""

from functools import partial
from typing import Final

from fault.failpoints import KILL, KILL_ALL
from fault.faults.fault import Fault
from fault.faults.workers import GRACE_SECONDS
from fault.injection import STOP_SECONDS, Injection
from processes import wait_until

RESTART_SECONDS: Final = 5.0
"""Until a Python process with all its imports has started, on a busy machine."""

REPLACEMENT_SECONDS: Final = 2.0
"""One of two API processes is killed: the other one keeps answering, while gunicorn starts a
replacement, which takes half of a small machine."""

CONNECTION_ERRORS: Final = frozenset(
    {"ConnectionResetError", "RemoteDisconnected", "BrokenPipeError", "TimeoutError"}
)


def kill_at(failpoint: str, action: str, injection: Injection) -> None:
    injection.trigger(failpoint, action)
    injection.mark_ended()


def terminate(injection: Injection) -> None:
    """Every accepted connection is answered. Connections may be refused until the API is back."""
    process = injection.cluster.system.running["api"]
    with injection.cluster.suspend_restarts("api"):
        process.terminate()
        wait_until(lambda: process.poll() is not None, STOP_SECONDS, "the API stops")
    injection.mark_ended()
    stop_seconds = injection.ended - injection.started
    injection.check_time_bound("stopping the API", stop_seconds, GRACE_SECONDS)
    injection.oracle.check(
        "SIGTERM", holds=process.returncode == 0, details=f"api: exit status {process.returncode}"
    )
    attempts = injection.load.request_log.list_active_since(injection.started)
    broken = [attempt for attempt in attempts if attempt.outcome in CONNECTION_ERRORS]
    injection.oracle.check("SIGTERM", holds=not broken, details=f"not answered: {broken}")


FAULTS: Final = (
    Fault(
        "api-kill-before-reply",
        "an API process killed between COMMIT and reply",
        REPLACEMENT_SECONDS,
        partial(kill_at, "payment_store.insert.after", KILL),
    ),
    Fault(
        "api-kill-before-batch-reply",
        "an API process killed between a batch's COMMIT and its reply",
        REPLACEMENT_SECONDS,
        partial(kill_at, "idempotency.store_response.commit.after", KILL),
    ),
    Fault(
        "api-kill",
        "the whole API killed before a COMMIT",
        RESTART_SECONDS,
        partial(kill_at, "payment_store.insert.before", KILL_ALL),
    ),
    Fault("api-term", "SIGTERM to the API", RESTART_SECONDS, terminate),
)
