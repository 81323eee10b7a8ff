"""Redis for a request: quick, or not at all."""

import time
from dataclasses import dataclass
from typing import Final

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from atomic_adapters.settings import Settings

COOL_DOWN_SECONDS: Final = 1.0
"""How long Redis is left alone after it failed, so that an outage costs each process one
time-out a second and not every request one."""


def create_request_client(settings: Settings) -> Redis:
    """A client for the request path: no retries, since redis-py's own take up to a minute."""
    timeout = settings.redis_timeout.total_seconds()
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )


@dataclass(slots=True)
class CircuitBreaker:
    """Remembers that Redis just failed. Shared by everything in a process that asks it."""

    _resting_until: float = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._resting_until

    def trip(self) -> None:
        self._resting_until = time.monotonic() + COOL_DOWN_SECONDS


@dataclass(frozen=True, slots=True)
class RedisDependency:
    """Redis only rings the bell and counts requests: without it, Atomic is degraded."""

    redis: Redis
    name: str = "redis"
    vital: bool = False

    def is_up(self) -> bool:
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False
