"""The highest timeline of each PostgreSQL cluster, in Redis: a sorted set of clusters."""

from dataclasses import dataclass
from typing import Final

from redis import Redis, RedisError

from atomic_adapters.redis.connections import CircuitBreaker

KEY: Final = "atomic:wal-timelines"
"""Without an expiry: a former primary may return after months."""


@dataclass(frozen=True, slots=True)
class RedisWalTimelines:
    """Each process repeats the highest that it knows, so that an emptied Redis is filled again."""

    redis: Redis
    breaker: CircuitBreaker

    def raise_to(self, cluster: str, timeline: int) -> int | None:
        if self.breaker.is_open:
            return None
        try:
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zadd(KEY, {cluster: timeline}, gt=True)
            pipeline.zscore(KEY, cluster)
            _, score = pipeline.execute()
        except RedisError:
            self.breaker.trip()
            return None
        return int(score)
