"""Fixed-window rate limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A fixed window: `quota` per `window` seconds for one `subject`. A request counts as `cost`,
    which for a batch is its number of items."""

    name: str
    quota: int
    window: int
    subject: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class RateState:
    """A window after counting a request. `reset` is the seconds until it ends, rounded up, so
    that a client that waits that long is not too early."""

    limit: RateLimit
    remaining: int
    reset: int
    exceeded: bool


class RateLimiter(Protocol):
    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        """Count one request against each limit, in order, up to the first that is exceeded.

        Returns the state of each counted limit. Raises RateLimiterUnavailable within 0.25 s if
        counting fails.
        """
        ...


class RateLimiterUnavailable(Exception):
    """Counting failed. The caller decides whether to allow the request."""
