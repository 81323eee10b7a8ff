"""Fixed-window rate limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A fixed window: `quota` per `window` seconds for one `subject`. A request counts as
    `cost`: 1, or as many things as it asks for."""

    name: str
    quota: int
    window: int
    subject: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class RateState:
    """A window after counting a request. `reset` is the whole seconds until it ends, rounded
    up: a client that waits that long is never early."""

    limit: RateLimit
    remaining: int
    reset: int
    exceeded: bool


class RateLimiter(Protocol):
    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        """Count one request against each limit, in order, up to the first that is exceeded.

        Returns a state for each limit that was counted. Raises RateLimiterUnavailable if it
        cannot count, within 0.25 s.
        """
        ...


class RateLimiterUnavailable(Exception):
    """Counting was not possible; the caller decides whether the request passes."""
