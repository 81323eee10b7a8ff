"""The API dies between COMMIT and reply, dies whole, is told to stop."""

from functools import partial
from typing import Final

from fault.failpoints import KILL, KILL_ALL
from fault.fault_schedule import Scene
from fault.faults.fault import Fault
from fault.faults.settlers import GRACE_SECONDS
from processes import eventually

STARTED_AGAIN: Final = 5.0
"""A Python process with all its imports, on a busy machine."""

SUCCEEDED: Final = 2.0
"""One of two API processes died: the other answers on, and gunicorn starts a successor, which
takes half of a small machine while it does."""

RESETS: Final = frozenset(
    {"ConnectionResetError", "RemoteDisconnected", "BrokenPipeError", "TimeoutError"}
)


def kill_at(place: str, order: str, scene: Scene) -> None:
    scene.at(place, order)
    scene.is_over()


def terminate(scene: Scene) -> None:
    """Every request that was taken is answered; connecting may be refused until it is back."""
    process = scene.rig.system.running["api"]
    with scene.rig.unkept("api"):
        process.terminate()
        eventually(lambda: process.poll() is not None, GRACE_SECONDS + 5, "the API stops")
    scene.is_over()
    scene.bound("seconds the API took to stop", scene.over - scene.begun, GRACE_SECONDS)
    scene.book.check("SIGTERM", holds=process.returncode == 0, what=f"api: {process.returncode}")
    asked = scene.load.journal.under_way(scene.begun)
    broken = [each for each in asked if each.outcome in RESETS]
    scene.book.check("SIGTERM", holds=not broken, what=f"without an answer: {broken}")


FAULTS: Final = (
    Fault(
        "api-kill-answering",
        "an API process killed between COMMIT and reply",
        SUCCEEDED,
        partial(kill_at, "desk.accept.after", KILL),
    ),
    Fault(
        "api-kill-batch",
        "an API process killed between a batch's COMMIT and its reply",
        SUCCEEDED,
        partial(kill_at, "idempotency.complete.commit.after", KILL),
    ),
    Fault(
        "api-kill",
        "the whole API killed before a COMMIT",
        STARTED_AGAIN,
        partial(kill_at, "desk.accept.before", KILL_ALL),
    ),
    Fault("api-term", "SIGTERM to the API", STARTED_AGAIN, terminate),
)
