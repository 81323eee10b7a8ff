"""The card network does not respond or is slow."""

from typing import Final

from fault.cluster import LEASE_SECONDS
from fault.failpoints import delay
from fault.faults.fault import Fault
from fault.injection import Injection

AUTHORIZE: Final = "card_network.authorize.before"

FROZEN_SECONDS: Final = LEASE_SECONDS + 2.0
"""Longer than the lease: another worker takes the batch over, and the late responses change
nothing."""

SLOW_SECONDS: Final = 0.5

SLOW_CALLS: Final = 6

OTHERS_SETTLE_SECONDS: Final = 1.0


def freeze(injection: Injection) -> None:
    """Delay one call. Other workers settle the payments accepted meanwhile in the usual time."""
    injection.trigger(AUTHORIZE, delay(FROZEN_SECONDS))
    injection.mark_started()
    injection.wait(LEASE_SECONDS / 2)
    injection.mark_ended()
    slowest = injection.measure_slowest_settlement()
    injection.check_time_bound("settlement by others", slowest, OTHERS_SETTLE_SECONDS)
    injection.wait(FROZEN_SECONDS - (injection.ended - injection.started))
    injection.mark_ended()


def slow(injection: Injection) -> None:
    for _ in range(SLOW_CALLS):
        injection.trigger(AUTHORIZE, delay(SLOW_SECONDS))
    injection.mark_ended()


FAULTS: Final = (
    Fault("network-frozen", f"a call of {FROZEN_SECONDS:.0f} s", 1.0, freeze),
    Fault("network-slow", f"{SLOW_CALLS} calls of {SLOW_SECONDS} s", 1.0, slow),
)
