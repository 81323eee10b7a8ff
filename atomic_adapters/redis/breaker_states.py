"""The states of circuit breakers, in Redis: per network a sorted set of the processes whose breaker
is open, by the time at which their report ends."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from redis import Redis, RedisError

from atomic_adapters.redis.connections import CircuitBreaker

REPORT_SECONDS: Final = 180
"""How long a report counts. An open breaker tries one payment per minute at least, and reports
itself each time; the call may take half a minute."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RedisBreakerStates:
    redis: Redis
    breaker: CircuitBreaker
    """Of Redis, not of a card network."""
    get_time: Callable[[], float] = time.time
    _process: str = field(default="")

    def report(self, network: str, *, is_open: bool) -> None:
        if self.breaker.is_open:
            return
        # Drawn here: this object may have been built before a fork.
        self._process = self._process or secrets.token_hex(8)
        try:
            if is_open:
                key, ends_at = _build_key(network), self.get_time() + REPORT_SECONDS
                self.redis.zadd(key, {self._process: ends_at})
                self.redis.expire(key, REPORT_SECONDS)
            else:
                self.redis.zrem(_build_key(network), self._process)
        except RedisError as error:
            self.breaker.trip()
            _log.warning(
                "state of a circuit breaker not reported", network=network, problem=str(error)
            )

    def count_open(self, network: str) -> int | None:
        if self.breaker.is_open:
            return None
        try:
            # Excluding the bound: a report that ends now has ended.
            count = self.redis.zcount(_build_key(network), f"({self.get_time()}", "+inf")
        except RedisError:
            self.breaker.trip()
            return None
        return int(count)


@dataclass(frozen=True, slots=True)
class NetworkDependency:
    """A `Dependency` port: a card network outside of this process. Not vital: payments are accepted
    and wait. While no state is known, Redis is down, which readiness names."""

    states: RedisBreakerStates
    name: str
    is_required: bool = False

    def is_up(self) -> bool:
        return not self.states.count_open(self.name)


def _build_key(network: str) -> str:
    return f"atomic:breaker:{network}"
