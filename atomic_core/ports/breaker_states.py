"""The circuit breakers of all processes, as each reports its own."""

from typing import Protocol


class BreakerStates(Protocol):
    """A report is for operators and for readiness: no payment depends on it. It takes at most
    0.25 s, never raises, and is forgotten after three minutes, when its process may be gone."""

    def report(self, network: str, *, is_open: bool) -> None:
        """The breaker of this process."""
        ...

    def count_open(self, network: str) -> int | None:
        """How many processes have reported an open breaker; None if that is not known."""
        ...
