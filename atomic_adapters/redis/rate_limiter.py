"""Fixed-window rate limits in Redis: one round trip for all limits of a request, shared by
concurrent requests."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from redis import Redis, RedisError
from redis.exceptions import OutOfMemoryError

from atomic_adapters.micro_batching import MicroBatcher
from atomic_adapters.redis.connections import CircuitBreaker
from atomic_core.ports.rate_limiter import (
    OVERFLOW,
    RateLimit,
    RateLimiterFull,
    RateLimiterUnavailable,
    RateState,
)

_SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")

MAX_KEYS: Final = 250_000
"""In the whole database. A window takes about 120 bytes, so that windows fill 30 MB at most.
Without the bound, a client with many addresses could fill Redis and so end all limits."""


class RedisRateLimiter:
    def __init__(self, redis: Redis, breaker: CircuitBreaker, max_keys: int = MAX_KEYS) -> None:
        # redis-py sends EVALSHA, and loads the script again if Redis has lost it in a restart.
        self._script = redis.register_script(_SCRIPT)
        self._breaker = breaker
        self._max_keys = max_keys
        self._count_batched = MicroBatcher(self._count_all, RateLimiterUnavailable)

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        return self._count_batched(limits) if limits else []

    def _count_all(self, requests: Sequence[Sequence[RateLimit]]) -> list[list[RateState]]:
        if self._breaker.is_open:
            raise RateLimiterUnavailable("Redis failed less than a second ago")
        keys: list[str] = []
        arguments: list[int] = [self._max_keys]
        for limits in requests:
            arguments.append(len(limits))
            for limit in limits:
                keys.append(f"atomic:limit:{limit.name}:{limit.subject}")
                keys.append(f"atomic:limit:{limit.name}:{OVERFLOW}")
                arguments += (limit.quota, limit.window * 1000, limit.cost)
        try:
            values = iter(self._script(keys=keys, args=arguments))
        except OutOfMemoryError as error:
            self._breaker.trip()
            raise RateLimiterFull(str(error)) from error
        except RedisError as error:
            self._breaker.trip()
            raise RateLimiterUnavailable(str(error)) from error
        # The script returns (used, remaining_ms) for each limit, in the order of the keys.
        counts = zip(values, values, strict=True)
        return [_build_states(limits, list(islice(counts, len(limits)))) for limits in requests]


def _build_states(
    limits: Sequence[RateLimit], counts: Sequence[tuple[int, int]]
) -> list[RateState]:
    """Leaves out limits that were not counted (`used` is -1)."""
    pairs = zip(limits, counts, strict=True)
    return [_build_state(limit, used, left_ms) for limit, (used, left_ms) in pairs if used >= 0]


def _build_state(limit: RateLimit, used: int, remaining_ms: int) -> RateState:
    # Rounded up and at least 1: a client that waits `reset` seconds is never early.
    reset = max(1, -(-remaining_ms // 1000))
    return RateState(limit, max(0, limit.quota - used), reset, used > limit.quota)
