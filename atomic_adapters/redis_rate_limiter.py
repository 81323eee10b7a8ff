"""Fixed windows counted in Redis: one round trip, whatever the number of limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from redis import Redis, RedisError

from atomic_adapters.redis_connections import Breaker
from atomic_core.ports.outside import RateLimit, RateLimiterUnavailable, RateState

_SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")


class RedisRateLimiter:
    def __init__(self, redis: Redis, breaker: Breaker) -> None:
        # EVALSHA, and EVAL again when a restarted Redis has forgotten the script.
        self._script = redis.register_script(_SCRIPT)
        self._breaker = breaker

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        if not limits:
            return []
        if self._breaker.is_open:
            raise RateLimiterUnavailable("Redis failed a moment ago")
        try:
            counted = self._script(
                keys=[f"atomic:limit:{limit.name}:{limit.subject}" for limit in limits],
                args=[n for limit in limits for n in (limit.quota, limit.window * 1000)],
            )
        except RedisError as error:
            self._breaker.trip()
            raise RateLimiterUnavailable(str(error)) from error
        pairs = zip(counted[::2], counted[1::2], strict=True)
        return [_state(limit, *pair) for limit, pair in zip(limits, pairs, strict=False)]


def _state(limit: RateLimit, used: int, left_ms: int) -> RateState:
    # Rounded up and at least 1, so that a client that waits as it is told is never early.
    reset = max(1, -(-left_ms // 1000))
    return RateState(limit, max(0, limit.quota - used), reset, used > limit.quota)
