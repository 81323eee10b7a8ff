"""Fixed-window rate limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

OVERFLOW: Final = "overflow"
"""The subject of the window that new subjects share when there are too many windows. Neither an
address, an id nor a hash."""


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

        Returns the state of each counted limit. The number of windows is bounded: beyond it, all
        new subjects of a limit share one window. Raises RateLimiterUnavailable within 0.25 s if
        counting fails.
        """
        ...


class RateLimiterUnavailable(Exception):
    """Counting failed. The caller decides whether to allow the request."""


class RateLimiterFull(RateLimiterUnavailable):
    """The store of the windows has no memory left: counting fails until an operator acts."""
