"""The card network does not respond, is slow, cannot be reached or loses its answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fault.cluster import LEASE_SECONDS, NETWORK_TIMEOUT_SECONDS
from fault.failpoints import delay
from fault.faults.fault import Fault
from fault.injection import Injection
from fault.network_books import DOWN_FLAG, SILENT_FLAG

AUTHORIZE: Final = "card_network.authorize.before"

FROZEN_SECONDS: Final = NETWORK_TIMEOUT_SECONDS + 1.0
"""Longer than the time-out of a call: its payments are in doubt, and asked about again."""

AWAY_SECONDS: Final = 2.0

RETRY_SECONDS: Final = 4.0
"""After an outage of AWAY_SECONDS, the next try of a payment comes at most two seconds later, since
its pauses double from half a second; and some payments are asked about once more."""

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


@contextmanager
def _set_flag(injection: Injection, name: str) -> Iterator[None]:
    flag = injection.cluster.flags.folder / name
    flag.touch()
    try:
        yield
    finally:
        flag.unlink()


def silence(injection: Injection) -> None:
    """The network does what it is asked, and every answer is lost."""
    with _set_flag(injection, SILENT_FLAG):
        injection.wait(AWAY_SECONDS)
    injection.mark_ended()


def disconnect(injection: Injection) -> None:
    with _set_flag(injection, DOWN_FLAG):
        injection.wait(AWAY_SECONDS)
    injection.mark_ended()


FAULTS: Final = (
    Fault("network-frozen", f"a call of {FROZEN_SECONDS:.0f} s", 1.0, freeze),
    Fault(
        "network-silent", f"every answer is lost for {AWAY_SECONDS:.0f} s", RETRY_SECONDS, silence
    ),
    Fault("network-down", f"cannot be reached for {AWAY_SECONDS:.0f} s", RETRY_SECONDS, disconnect),
    Fault("network-slow", f"{SLOW_CALLS} calls of {SLOW_SECONDS} s", 1.0, slow),
)
