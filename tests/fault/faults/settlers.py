"""Workers and sweepers that die, freeze, are told to stop, or are too many."""

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from fault.cluster import LEASE_SECONDS
from fault.failpoints import FREEZE, KILL
from fault.fault_schedule import Scene
from fault.faults.fault import Fault
from processes import eventually

RECOVERED: Final = 1.0

GRACE_SECONDS: Final = 8.0
"""SHUTDOWN_GRACE_SECONDS by default: after that a supervisor would kill."""

FROZEN_SECONDS: Final = LEASE_SECONDS + 1.0
"""Past the lease, so that the claims are somebody else's when it moves again."""

DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'atomic'"


def kill_anywhere(name: str, scene: Scene) -> None:
    scene.rig.kill(name)
    scene.is_over()


def kill_at(place: str, scene: Scene) -> None:
    scene.at(place, KILL)
    scene.is_over()


def freeze_at(place: str, scene: Scene) -> None:
    """Whoever comes by: worker or sweeper. Both are continued, one of them for nothing."""
    scene.at(place, FREEZE)
    scene.wait(FROZEN_SECONDS)
    for name in ("worker", "sweeper"):
        scene.rig.signal(name, signal.SIGCONT)
    scene.is_over()


def terminate(name: str, scene: Scene) -> None:
    """It ends the batch in hand, says goodbye with status 0, and leaves nothing claimed."""
    process = scene.rig.system.running[name]
    with scene.rig.unkept(name):
        process.terminate()
        scene.is_over()
        eventually(lambda: process.poll() is not None, GRACE_SECONDS + 5, f"the {name} stops")
        scene.bound(
            f"seconds the {name} took to stop", time.monotonic() - scene.over, GRACE_SECONDS
        )
        scene.book.check(
            "SIGTERM", holds=process.returncode == 0, what=f"{name}: {process.returncode}"
        )


def crowd(scene: Scene) -> None:
    """Two workers and two sweepers at once."""
    before = scene.ask(DEADLOCKS)
    logged = scene.rig.words_so_far()
    for name in ("worker 2", "sweeper 2"):
        scene.rig.spawn(name)
    for words in ("worker started", "sweeper started"):
        scene.rig.await_words(words, logged)
    scene.wait(2)
    for name in ("worker 2", "sweeper 2"):
        status = scene.rig.stop(name, GRACE_SECONDS + 5)
        scene.book.check("SIGTERM", holds=status == 0, what=f"{name}: {status}")
    scene.is_over()
    found = scene.ask(DEADLOCKS) - before
    scene.book.check("no deadlock", holds=found == 0, what=f"{found} deadlocks")


def _kill_at(name: str, what: str, place: str) -> Fault:
    return Fault(name, what, RECOVERED, partial(kill_at, place))


def _at_once(name: str, what: str, inject: Callable[[Scene], None]) -> Fault:
    return Fault(name, what, RECOVERED, inject)


FAULTS: Final = (
    _at_once("worker-kill", "worker killed anywhere", partial(kill_anywhere, "worker")),
    _at_once("sweeper-kill", "sweeper killed anywhere", partial(kill_anywhere, "sweeper")),
    _kill_at("kill-rung", "killed after the ring, before the claim", "queue.clear.after"),
    _kill_at("kill-claimed", "killed between claim and post", "network.authorize.before"),
    _kill_at("kill-posting", "killed in the middle of a batch", "payments.settle.after"),
    _kill_at("kill-posted", "killed just after the batch's commit", "payments.settle.commit.after"),
    _kill_at("kill-captured", "killed after the network captured", "network.capture.after"),
    _kill_at("kill-promised", "killed with a refund promised", "refunds.settle.commit.after"),
    _kill_at("kill-refunded", "killed after the network gave back", "network.refund.after"),
    Fault(
        "freeze-claimed",
        "frozen past its lease, with claims",
        0.5,
        partial(freeze_at, "network.authorize.after"),
    ),
    Fault(
        "freeze-posting",
        "frozen past its lease, holding locks",
        0.5,
        partial(freeze_at, "payments.settle.after"),
    ),
    _at_once("worker-term", "SIGTERM to the worker", partial(terminate, "worker")),
    _at_once("sweeper-term", "SIGTERM to the sweeper", partial(terminate, "sweeper")),
    _at_once("crowd", "two workers and two sweepers", crowd),
)
