"""What processes report of themselves, in Redis."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from redis import Redis, RedisError

from atomic_adapters.redis.connections import CircuitBreaker

RUNNING_TTL_SECONDS: Final = 3_600
"""Long enough to tell for how long a process has been away."""

LEDGER_CHECK_KEY: Final = "atomic:ledger-check"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RedisProcessReports:
    redis: Redis
    breaker: CircuitBreaker
    get_time: Callable[[], float] = time.time

    def report_running(self, process: str) -> None:
        self._set(build_running_key(process), str(self.get_time()), RUNNING_TTL_SECONDS)

    def report_ledger_check(self, findings: int) -> None:
        self._set(LEDGER_CHECK_KEY, f"{self.get_time()} {findings}", None)

    def _set(self, key: str, value: str, ttl_seconds: int | None) -> None:
        if self.breaker.is_open:
            return
        try:
            self.redis.set(key, value, ex=ttl_seconds)
        except RedisError as error:
            self.breaker.trip()
            _log.debug("process not reported", problem=str(error))


def build_running_key(process: str) -> str:
    return f"atomic:running:{process}"
