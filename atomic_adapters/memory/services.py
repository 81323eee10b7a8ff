"""Job queue, rate limiter, dependency, breaker states, and what webhooks need, in memory."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from atomic_core.ports.clock import Clock
from atomic_core.ports.job_queue import Job
from atomic_core.ports.rate_limiter import OVERFLOW, RateLimit, RateState

MAX_WINDOWS: Final = 10_000
"""Bounds memory, and the cost of the scan for ended ones."""


@dataclass(slots=True)
class MemoryJobQueue:
    """Remembers notified jobs and runs none. Call `settlement.settle()` to do the work."""

    notified_jobs: set[Job] = field(default_factory=set)

    def notify(self, job: Job) -> None:
        self.notified_jobs.add(job)

    def clear(self, job: Job) -> None:
        self.notified_jobs.discard(job)


@dataclass(slots=True)
class MemoryRateLimiter:
    """Fixed windows that open at their first request, for one process."""

    clock: Clock
    max_windows: int = MAX_WINDOWS
    _windows: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        states: list[RateState] = []
        with self._lock:
            for limit in limits:
                states.append(self._count(limit))
                if states[-1].exceeded:
                    break
        return states

    def _count(self, limit: RateLimit) -> RateState:
        now = self.clock.now()
        key = (limit.name, limit.subject)
        if key not in self._windows and not self._has_room(now):
            key = (limit.name, OVERFLOW)
        used, ends = self._windows.get(key, (0, now))
        if ends <= now:
            used, ends = 0, now + timedelta(seconds=limit.window)
        used += limit.cost
        self._windows[key] = (used, ends)
        # Rounded up: a client that waits `reset` seconds is never early.
        reset = -((now - ends) // timedelta(seconds=1))
        return RateState(limit, max(0, limit.quota - used), reset, used > limit.quota)

    def _has_room(self, now: datetime) -> bool:
        """Whether one more window may be opened, once ended ones are removed."""
        if len(self._windows) >= self.max_windows:
            self._windows = {key: row for key, row in self._windows.items() if row[1] > now}
        return len(self._windows) < self.max_windows


@dataclass(frozen=True, slots=True)
class AlwaysUpDependency:
    name: str
    is_required: bool = True

    def is_up(self) -> bool:
        return True


class CurrentSchema:
    """A store in memory is of this code."""

    def list_pending(self) -> Sequence[str]:
        return ()


@dataclass(slots=True)
class MemoryBreakerStates:
    """Of one process."""

    open_networks: set[str] = field(default_factory=set)
    reports: list[tuple[str, bool]] = field(default_factory=list)

    def report(self, network: str, *, is_open: bool) -> None:
        self.reports.append((network, is_open))
        (self.open_networks.add if is_open else self.open_networks.discard)(network)

    def count_open(self, network: str) -> int | None:
        return int(network in self.open_networks)


@dataclass(slots=True)
class MemoryWebhookSender:
    """Remembers webhooks and sends none: each is answered 200, or as `answer` says."""

    answer: Callable[[WebhookRequest], WebhookResult] = lambda _: WebhookResult(
        200, None, 0, "", None
    )
    requests: list[WebhookRequest] = field(default_factory=list)

    def send(self, request: WebhookRequest) -> WebhookResult:
        self.requests.append(request)
        return self.answer(request)


class MemorySecretCipher:
    """For secrets that end with the process: it encrypts nothing."""

    is_available = True

    def encrypt(self, secret: str) -> bytes:
        return secret.encode()

    def decrypt(self, token: bytes) -> str:
        return token.decode()
