"""Redis clients for the request path: they answer fast or fail fast."""

import time
from dataclasses import dataclass
from typing import Final

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from atomic_adapters.settings import Settings

COOL_DOWN_SECONDS: Final = 1.0
"""How long a process does not call Redis after a failure: an outage then costs each process one
time-out per second instead of one per request."""


def create_request_client(settings: Settings) -> Redis:
    """A client without retries: by default redis-py retries for up to a minute.

    REDIS_TIMEOUT_SECONDS bounds connecting and each command separately, so one call takes at most
    twice that (0.2 s by default, within the 0.25 s that the ports promise).
    """
    timeout = settings.redis_timeout.total_seconds()
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


_PROBE_KEY: Final = "atomic:health"
_PROBE_TTL_MS: Final = 1_000


@dataclass(slots=True)
class CircuitBreaker:
    """Opens for COOL_DOWN_SECONDS when Redis fails. One per process, shared by every Redis adapter
    on the request path."""

    _open_until: float = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def trip(self) -> None:
        self._open_until = time.monotonic() + COOL_DOWN_SECONDS


@dataclass(frozen=True, slots=True)
class RedisDependency:
    """A `Dependency` port. Not vital: without Redis, rate limits are not counted and the sweeper
    settles in place of woken workers."""

    redis: Redis
    name: str = "redis"
    is_required: bool = False

    def is_up(self) -> bool:
        """Whether Redis accepts writes: one without memory, or a replica, still answers PING."""
        try:
            return bool(self.redis.set(_PROBE_KEY, 1, px=_PROBE_TTL_MS))
        except RedisError:
            return False
