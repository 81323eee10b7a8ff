"""The card network freezes or is slow."""

from typing import Final

from fault.cluster import LEASE_SECONDS
from fault.failpoints import stall
from fault.fault_schedule import Scene
from fault.faults.fault import Fault

ASKED: Final = "network.authorize.before"

FROZEN_SECONDS: Final = LEASE_SECONDS + 2.0
"""Past the lease: the batch is taken over, and the late answers change nothing."""

SLOW_SECONDS: Final = 0.5

SLOW_CALLS: Final = 6

OTHERS_GO_ON_WITHIN: Final = 1.0


def freeze(scene: Scene) -> None:
    """One call hangs. What is accepted meanwhile is settled by others in the usual time."""
    scene.at(ASKED, stall(FROZEN_SECONDS))
    scene.begins()
    scene.wait(LEASE_SECONDS / 2)
    scene.is_over()
    scene.bound("others settled after", scene.slowest_settled(), OTHERS_GO_ON_WITHIN)
    scene.wait(FROZEN_SECONDS - (scene.over - scene.begun))
    scene.is_over()


def slow(scene: Scene) -> None:
    for _ in range(SLOW_CALLS):
        scene.at(ASKED, stall(SLOW_SECONDS))
    scene.is_over()


FAULTS: Final = (
    Fault("network-frozen", f"a call of {FROZEN_SECONDS:.0f} s", 1.0, freeze),
    Fault("network-slow", f"{SLOW_CALLS} calls of {SLOW_SECONDS} s", 1.0, slow),
)
