"""Fixed windows counted in Redis: one round trip, whatever the number of limits, shared by those
who are counted at the same moment."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from redis import Redis, RedisError

from atomic_adapters.micro_batching import MicroBatcher
from atomic_adapters.redis.connections import CircuitBreaker
from atomic_core.ports.rate_limiter import RateLimit, RateLimiterUnavailable, RateState

_SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")


class RedisRateLimiter:
    def __init__(self, redis: Redis, breaker: CircuitBreaker) -> None:
        # EVALSHA, and EVAL again when a restarted Redis has forgotten the script.
        self._script = redis.register_script(_SCRIPT)
        self._breaker = breaker
        self._count = MicroBatcher(self._count_all, RateLimiterUnavailable)

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        return self._count(limits) if limits else []

    def _count_all(self, requests: Sequence[Sequence[RateLimit]]) -> list[list[RateState]]:
        if self._breaker.is_open:
            raise RateLimiterUnavailable("Redis failed a moment ago")
        keys: list[str] = []
        arguments: list[int] = []
        for limits in requests:
            arguments.append(len(limits))
            for limit in limits:
                keys.append(f"atomic:limit:{limit.name}:{limit.subject}")
                arguments += (limit.quota, limit.window * 1000, limit.cost)
        try:
            counted = iter(self._script(keys=keys, args=arguments))
        except RedisError as error:
            self._breaker.trip()
            raise RateLimiterUnavailable(str(error)) from error
        # Two by two, as they were asked.
        pairs = zip(counted, counted, strict=True)
        return [_states(limits, list(islice(pairs, len(limits)))) for limits in requests]


def _states(limits: Sequence[RateLimit], counts: Sequence[tuple[int, int]]) -> list[RateState]:
    pairs = zip(limits, counts, strict=True)
    return [_state(limit, used, left) for limit, (used, left) in pairs if used >= 0]


def _state(limit: RateLimit, used: int, left_ms: int) -> RateState:
    # Rounded up and at least 1, so that a client that waits as it is told is never early.
    reset = max(1, -(-left_ms // 1000))
    return RateState(limit, max(0, limit.quota - used), reset, used > limit.quota)
