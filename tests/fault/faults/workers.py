"""Workers and sweepers are killed, frozen, stopped by SIGTERM, or too many."""

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from fault.cluster import LEASE_SECONDS
from fault.failpoints import FREEZE, KILL
from fault.faults.fault import Fault
from fault.injection import STOP_SECONDS, Injection
from processes import wait_until

RECOVERY_SECONDS: Final = 1.0

GRACE_SECONDS: Final = 8.0
"""The default of SHUTDOWN_GRACE_SECONDS, after which a supervisor kills."""

FROZEN_SECONDS: Final = LEASE_SECONDS + 1.0
"""Longer than the lease: another worker has taken over the claims before the process continues."""

COUNT_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'atomic'"


def kill_anywhere(name: str, injection: Injection) -> None:
    injection.cluster.kill(name)
    injection.mark_ended()


def kill_at(failpoint: str, injection: Injection) -> None:
    injection.trigger(failpoint, KILL)
    injection.mark_ended()


def freeze_at(failpoint: str, injection: Injection) -> None:
    """Freeze the worker or the sweeper, whichever reaches it first; then continue both."""
    injection.trigger(failpoint, FREEZE)
    injection.wait(FROZEN_SECONDS)
    for name in ("worker", "sweeper"):
        injection.cluster.signal(name, signal.SIGCONT)
    injection.mark_ended()


def terminate(name: str, injection: Injection) -> None:
    """The process completes its batch, exits with status 0 and leaves nothing claimed."""
    process = injection.cluster.system.running[name]
    with injection.cluster.suspend_restarts(name):
        process.terminate()
        injection.mark_ended()
        wait_until(lambda: process.poll() is not None, STOP_SECONDS, f"the {name} stops")
        stop_seconds = time.monotonic() - injection.ended
        injection.check_time_bound(f"stopping the {name}", stop_seconds, GRACE_SECONDS)
        _check_exit_status(injection, name, process.returncode)


def add_workers(injection: Injection) -> None:
    """Run two workers and two sweepers concurrently."""
    deadlocks_before = injection.query_value(COUNT_DEADLOCKS)
    offset = injection.cluster.get_log_size()
    for name in ("worker 2", "sweeper 2"):
        injection.cluster.spawn(name)
    for text in ("worker started", "sweeper started"):
        injection.cluster.await_log_text(text, offset)
    injection.wait(2)
    for name in ("worker 2", "sweeper 2"):
        _check_exit_status(injection, name, injection.cluster.stop(name, STOP_SECONDS))
    injection.mark_ended()
    deadlocks = injection.query_value(COUNT_DEADLOCKS) - deadlocks_before
    injection.oracle.check("no-deadlock", holds=deadlocks == 0, details=f"{deadlocks} deadlocks")


def _check_exit_status(injection: Injection, name: str, status: int) -> None:
    injection.oracle.check("SIGTERM", holds=status == 0, details=f"{name}: exit status {status}")


def _kill_at(name: str, description: str, failpoint: str) -> Fault:
    return Fault(name, description, RECOVERY_SECONDS, partial(kill_at, failpoint))


def _fault(name: str, description: str, inject: Callable[[Injection], None]) -> Fault:
    return Fault(name, description, RECOVERY_SECONDS, inject)


FAULTS: Final = (
    _fault("worker-kill", "worker killed anywhere", partial(kill_anywhere, "worker")),
    _fault("sweeper-kill", "sweeper killed anywhere", partial(kill_anywhere, "sweeper")),
    _kill_at(
        "worker-kill-after-wakeup",
        "killed after the wake-up, before the claim",
        "job_queue.clear.after",
    ),
    _kill_at(
        "worker-kill-after-claim",
        "killed between claim and posting",
        "card_network.authorize.before",
    ),
    _kill_at("worker-kill-in-batch", "killed in the middle of a batch", "payments.settle.after"),
    _kill_at(
        "worker-kill-after-commit",
        "killed just after the batch's COMMIT",
        "payments.settle.commit.after",
    ),
    _kill_at(
        "worker-kill-after-capture",
        "killed after the network captured",
        "card_network.capture.after",
    ),
    _kill_at(
        "worker-kill-after-reservation",
        "killed with a refund reserved",
        "refunds.settle.commit.after",
    ),
    _kill_at(
        "worker-kill-after-refund", "killed after the network refunded", "card_network.refund.after"
    ),
    Fault(
        "worker-freeze-after-claim",
        "frozen past its lease, with claims",
        0.5,
        partial(freeze_at, "card_network.authorize.after"),
    ),
    Fault(
        "worker-freeze-in-batch",
        "frozen past its lease, holding locks",
        0.5,
        partial(freeze_at, "payments.settle.after"),
    ),
    _fault("worker-term", "SIGTERM to the worker", partial(terminate, "worker")),
    _fault("sweeper-term", "SIGTERM to the sweeper", partial(terminate, "sweeper")),
    _fault("worker-concurrency", "two workers and two sweepers", add_workers),
)
