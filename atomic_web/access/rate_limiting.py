"""Rate limits, reported in the headers of draft-ietf-httpapi-ratelimit-headers."""

import ipaddress
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import structlog
from flask import request

from atomic_core.domain.errors import RateLimited
from atomic_core.ports.rate_limiter import RateLimit, RateLimiterUnavailable, RateState
from atomic_web import metrics
from atomic_web.access.authentication import AccessPolicy
from atomic_web.context import request_context
from atomic_web.errors import ServiceUnavailable
from atomic_web.http.client_address import parse_ip_address

GLOBAL_LIMIT: Final = "global"

LOG_INTERVAL_SECONDS: Final = 1.0
"""While the rate limiter is down, one log line per interval; the metric counts every request."""

NO_ADDRESS: Final = "local"
"""The subject of clients on a Unix socket. They have no address and share one window."""

UNREADABLE_ADDRESS: Final = "unreadable"
"""The subject of clients whose proxy sends something other than an IP address. They share one
window, since a client could otherwise get a new window with every spelling."""

MAX_CACHED_SUBJECTS: Final = 4_096

log = structlog.get_logger(__name__)


class _LogThrottle:
    """Allows one log line per LOG_INTERVAL_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_at = 0.0

    def should_log(self) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._next_at:
                return False
            self._next_at = now + LOG_INTERVAL_SECONDS
            return True


_log_throttle = _LogThrottle()


def count_request(policy: AccessPolicy, more_limits: Sequence[tuple[str, str]] = ()) -> None:
    """Count this request against all its limits at once; `more_limits` are pairs of a limit's name
    and its subject.

    Raises RateLimited. If the rate limiter is unavailable, the request passes, unless the settings
    say otherwise: then ServiceUnavailable. Public routes without a limit of their own always pass.
    """
    can_refuse = not policy.is_public or policy.rate_limit is not None
    _count(_collect_limits(policy, more_limits), can_refuse=can_refuse)


def count_against_limit(name: str, cost: int) -> None:
    """Count this request as `cost` requests against one more limit per merchant. Raises what
    count_request raises."""
    context = request_context()
    window = context.settings.rate_limits[name]
    if window is not None:
        subject = str(context.merchant_id)
        _count([RateLimit(name, window.quota, window.seconds, subject, cost)], can_refuse=True)


def _count(limits: Sequence[RateLimit], *, can_refuse: bool) -> None:
    if not limits:
        return
    context = request_context()
    try:
        states = context.application.rate_limiter.count(limits)
    except RateLimiterUnavailable as error:
        metrics.RATE_LIMITER_UNAVAILABLE.inc()
        if _log_throttle.should_log():
            log.warning("rate_limiter_unavailable", reason=str(error))
        if can_refuse and not context.settings.rate_limit_passes_on_failure:
            raise ServiceUnavailable from error
        return
    context.rate_limit_states = [*context.rate_limit_states, *states]
    if any(state.exceeded for state in states):
        raise RateLimited


def build_rate_limit_headers(states: Sequence[RateState]) -> list[tuple[str, str]]:
    if not states:
        return []
    return [
        ("RateLimit-Policy", _format_policies(states)),
        ("RateLimit", _format_remainders(states)),
    ]


@lru_cache(maxsize=MAX_CACHED_SUBJECTS)
def get_client_subject(address: str | None) -> str:
    """The subject that a client address is counted under.

    IPv6 addresses are counted by /64, the smallest network that providers assign to a customer:
    single addresses would give every client 2^64 windows. All spellings of an IPv4 address are one
    subject.
    """
    if not address:
        return NO_ADDRESS
    ip = parse_ip_address(address)
    if ip is None:
        return UNREADABLE_ADDRESS
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)


def _collect_limits(
    policy: AccessPolicy, more_limits: Sequence[tuple[str, str]]
) -> list[RateLimit]:
    names_and_subjects: list[tuple[str, str]] = []
    client = get_client_subject(request.remote_addr)
    if policy.has_global_limit:
        names_and_subjects.append((GLOBAL_LIMIT, client))
    context = request_context()
    if policy.rate_limit and policy.is_public:
        names_and_subjects.append((policy.rate_limit, client))
    elif policy.rate_limit and (context.caller or context.session):
        names_and_subjects.append((policy.rate_limit, str(context.merchant_id)))
    names_and_subjects += more_limits
    windows = context.settings.rate_limits
    limits: list[RateLimit] = []
    for name, subject in names_and_subjects:
        window = windows[name]
        if window is not None:
            limits.append(RateLimit(name, window.quota, window.seconds, subject))
    return limits


def _format_policies(states: Sequence[RateState]) -> str:
    limits = (state.limit for state in states)
    return ", ".join(f'"{limit.name}";q={limit.quota};w={limit.window}' for limit in limits)


def _format_remainders(states: Sequence[RateState]) -> str:
    return ", ".join(
        f'"{state.limit.name}";r={state.remaining};t={state.reset}' for state in states
    )
