"""One way to break Atomic."""

from collections.abc import Callable
from dataclasses import dataclass

from fault.cluster import Rig
from fault.fault_schedule import Scene


def always(_: Rig) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Fault:
    """`inject` breaks something and mends it, and says with `scene.is_over()` from where
    recovery counts. It may return the seconds itself, where recovery is something else."""

    name: str
    what: str
    bound: float
    """Seconds."""
    inject: Callable[[Scene], float | None]
    absent: Callable[[Rig], str | None] = always
    """Why it cannot be done here; None if it can."""
