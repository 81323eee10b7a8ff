"""Rate limits, reported in the headers of draft-ietf-httpapi-ratelimit-headers."""

import ipaddress
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog
from flask import request

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import RateLimited
from atomic_core.ports.rate_limiter import (
    RateLimit,
    RateLimiterFull,
    RateLimiterUnavailable,
    RateState,
)
from atomic_web import metrics
from atomic_web.access.authentication import AccessPolicy
from atomic_web.context import request_context
from atomic_web.errors import ServiceUnavailable
from atomic_web.http.client_address import parse_ip_address

GLOBAL_LIMIT: Final = "global"

SERVICE_LIMIT: Final = "service"
"""Of probes, documents and preflights: a window of their own, so that they use up no quota for
other requests, nor other requests theirs."""

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


@dataclass(frozen=True, slots=True)
class SoftLimit:
    """A limit above which requests are slowed down instead of refused.

    It counts the requests of all clients for one subject: a stranger could use it up to lock out
    another client. Above it, the limit `slow_name` counts per subject *and* client address, so that
    no client takes another client's turn.
    """

    name: str
    subject: str
    slow_name: str


def count_request(policy: AccessPolicy, soft_limit: SoftLimit | None = None) -> None:
    """Count this request against all its limits at once, then against the slow limit if it is
    above the soft limit.

    Raises RateLimited. If the rate limiter is unavailable, the request passes, unless the settings
    or the policy say otherwise: then ServiceUnavailable. Other public routes always pass.
    """
    passes_uncounted = not policy.must_be_counted and (
        policy.is_public or request_context().settings.rate_limit_passes_on_failure
    )
    limits = _collect_limits(policy)
    if soft_limit is not None:
        # Last: a request that another limit refuses is not counted against it.
        limits += _build_limit(soft_limit.name, soft_limit.subject)
    states = _count(limits, passes_uncounted=passes_uncounted)
    if soft_limit is not None and states and _is_above(states[-1], soft_limit):
        client = get_client_subject(request.remote_addr)
        slow_limits = _build_limit(soft_limit.slow_name, f"{soft_limit.subject} {client}")
        states = [*states[:-1], *_count(slow_limits, passes_uncounted=passes_uncounted)]
    _report(states)


def count_against_limit(
    name: str, cost: int = 1, subject: str | None = None, *, must_be_counted: bool = False
) -> None:
    """Count this request as `cost` requests against one more limit, by default per merchant.

    Raises RateLimited. If the rate limiter is unavailable, raises ServiceUnavailable if the request
    `must_be_counted` or the settings say so.
    """
    limits = _build_limit(name, subject or str(request_context().merchant_id), cost)
    settings = request_context().settings
    passes_uncounted = settings.rate_limit_passes_on_failure and not must_be_counted
    _report(_count(limits, passes_uncounted=passes_uncounted))


def _is_above(state: RateState, soft_limit: SoftLimit) -> bool:
    return state.exceeded and state.limit.name == soft_limit.name


def _report(states: Sequence[RateState]) -> None:
    """Add the states to the response. Raises RateLimited if a limit is exceeded."""
    context = request_context()
    context.rate_limit_states = [*context.rate_limit_states, *states]
    if any(state.exceeded for state in states):
        raise build_rate_limit_error(states, is_production=context.settings.is_production)


def build_rate_limit_error(states: Sequence[RateState], *, is_production: bool) -> RateLimited:
    """Names the limit that is exceeded; of several, the one whose window ends last. Outside of
    production also the setting, so that a developer can raise it."""
    exceeded = max((state for state in states if state.exceeded), key=lambda state: state.reset)
    limit = exceeded.limit
    facts: dict[str, object] = {
        "name": limit.name,
        "quota": limit.quota,
        "windowSeconds": limit.window,
        "reset": exceeded.reset,
    }
    message = (
        f"Too many requests: the limit {limit.name} is {limit.quota} per {limit.window} s. Retry"
        f" in {exceeded.reset} s."
    )
    if not is_production:
        facts["setting"] = f"RATE_LIMIT_{limit.name.upper()}"
        message = f"{message} On your own server, {facts['setting']} sets it."
    return RateLimited(message, facts={"limit": facts})


def count_malformed_request(
    application: Application, settings: Settings, address: str | None
) -> Sequence[RateState]:
    """Count a request that could not be parsed against the global limit of its peer's address;
    return the states of the limits.

    Behind a proxy the peer is the proxy: the client's address is in a header that was not parsed,
    so that nothing is counted.
    """
    window = settings.rate_limits[GLOBAL_LIMIT]
    if window is None or settings.trusted_proxies:
        return []
    limit = RateLimit(GLOBAL_LIMIT, window.quota, window.seconds, get_client_subject(address))
    try:
        return application.rate_limiter.count([limit])
    except RateLimiterUnavailable as error:
        _report_unavailable(error)
        return []


def _count(limits: Sequence[RateLimit], *, passes_uncounted: bool) -> Sequence[RateState]:
    if not limits:
        return ()
    context = request_context()
    try:
        return context.application.rate_limiter.count(limits)
    except RateLimiterUnavailable as error:
        _report_unavailable(error)
        if not passes_uncounted:
            raise ServiceUnavailable from error
        return ()


def _report_unavailable(error: RateLimiterUnavailable) -> None:
    is_full = isinstance(error, RateLimiterFull)
    metrics.RATE_LIMITER_UNAVAILABLE.inc()
    if is_full:
        metrics.RATE_LIMITER_FULL.inc()
    if not _log_throttle.should_log():
        return
    if is_full:
        # An outage ends by itself or is noticed; a full store stays full until its operator acts.
        log.error("rate_limiter_full", reason=str(error))
    else:
        log.warning("rate_limiter_unavailable", reason=str(error))


def compute_retry_after_seconds(states: Sequence[RateState]) -> int:
    """The seconds until every exceeded window has ended."""
    return max((state.reset for state in states if state.exceeded), default=1)


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


def _build_limit(name: str, subject: str, cost: int = 1) -> list[RateLimit]:
    """The limit of this name; none if it is off."""
    window = request_context().settings.rate_limits[name]
    return [] if window is None else [RateLimit(name, window.quota, window.seconds, subject, cost)]


def _collect_limits(policy: AccessPolicy) -> list[RateLimit]:
    names_and_subjects: list[tuple[str, str]] = []
    client = get_client_subject(request.remote_addr)
    if policy.has_global_limit:
        names_and_subjects.append((GLOBAL_LIMIT, client))
    context = request_context()
    if policy.rate_limit and policy.is_public:
        names_and_subjects.append((policy.rate_limit, client))
    elif policy.rate_limit and (context.caller or context.session):
        names_and_subjects.append((policy.rate_limit, str(context.merchant_id)))
    return [limit for name, subject in names_and_subjects for limit in _build_limit(name, subject)]


def _format_policies(states: Sequence[RateState]) -> str:
    limits = (state.limit for state in states)
    return ", ".join(f'"{limit.name}";q={limit.quota};w={limit.window}' for limit in limits)


def _format_remainders(states: Sequence[RateState]) -> str:
    return ", ".join(
        f'"{state.limit.name}";r={state.remaining};t={state.reset}' for state in states
    )
