"""What waits for a card network."""

from typing import Final, NamedTuple


class NetworkLoad(NamedTuple):
    network: str
    open_breakers: int | None
    """Processes whose circuit breaker is open; None if that is not known."""
    parked: int
    """Payments and refunds that are due and not claimed, up to MAX_PARKED of each."""


MAX_PARKED: Final = 100_000
"""Bounds the work of counting."""
