"""A fault: one way to break the system, and the time within which it must recover."""

from collections.abc import Callable
from dataclasses import dataclass

from fault.cluster import Cluster
from fault.injection import Injection


def can_always_inject(_: Cluster) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Fault:
    """`inject` starts and ends the fault and calls `injection.mark_ended()` when recovery starts.
    It returns the seconds of recovery where they are measured differently, else None."""

    name: str
    description: str
    bound_seconds: float
    """For the recovery."""
    inject: Callable[[Injection], float | None]
    get_skip_reason: Callable[[Cluster], str | None] = can_always_inject
    """Returns why the fault cannot be injected on this machine; None if it can."""
