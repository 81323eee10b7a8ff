"""Limits on how often one may ask, told in the words of draft-ietf-httpapi-ratelimit-headers."""

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
from atomic_web.access.authentication import Access
from atomic_web.context import app_context, request_context
from atomic_web.errors import ServiceUnavailable
from atomic_web.http.client_address import read_address

GLOBAL: Final = "global"

LOG_EVERY_SECONDS: Final = 1.0
"""A limiter that is down must not fill the log: the metric counts every time."""

NO_ADDRESS: Final = "local"
"""The subject of callers on a Unix socket: they have no address, and share one window."""

UNREADABLE: Final = "unreadable"
"""The subject of callers whom a proxy describes in words of its own: one window for all of them,
since a new one for each spelling would be none."""

MAX_ADDRESSES: Final = 4_096
"""Of this many callers it is remembered whom their address stands for."""

log = structlog.get_logger(__name__)


class _Seldom:
    """True at most once per LOG_EVERY_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._next:
                return False
            self._next = now + LOG_EVERY_SECONDS
            return True


_time_to_log = _Seldom()


def count_request(access: Access, further: Sequence[tuple[str, str]] = ()) -> None:
    """Count this request against all its limits at once; `further` are names and subjects of more.

    Raises RateLimited. When counting is impossible the request passes, unless the settings say
    to refuse: then ServiceUnavailable. A route that asks for no key passes even so, but for one
    with a limit of its own.
    """
    refusable = access.authenticated or access.limit is not None
    _count(_limits(access, further), refusable=refusable)


def count_against(name: str, cost: int) -> None:
    """Count this request against one more limit per merchant, as `cost` requests. Raises as
    count_request."""
    context = request_context()
    window = context.app_context.settings.rate_limits[name]
    if window is not None:
        subject = str(context.merchant_id)
        _count([RateLimit(name, window.quota, window.seconds, subject, cost)], refusable=True)


def _count(limits: Sequence[RateLimit], *, refusable: bool) -> None:
    if not limits:
        return
    try:
        states = app_context().application.rate_limiter.count(limits)
    except RateLimiterUnavailable as error:
        metrics.RATE_LIMITER_UNAVAILABLE.inc()
        if _time_to_log():
            log.warning("rate_limiter_unavailable", reason=str(error))
        if refusable and not app_context().settings.rate_limit_passes_on_failure:
            raise ServiceUnavailable from error
        return
    context = request_context()
    context.rates = [*context.rates, *states]
    if any(state.exceeded for state in states):
        raise RateLimited


def limit_headers(rates: Sequence[RateState]) -> list[tuple[str, str]]:
    """How the windows stand that this request was counted in."""
    if not rates:
        return []
    return [("RateLimit-Policy", _policies(rates)), ("RateLimit", _remainders(rates))]


@lru_cache(maxsize=MAX_ADDRESSES)
def client_subject(address: str | None) -> str:
    """Whom an address stands for.

    An IPv6 customer is given at least a /64, so that is what counts: single addresses would
    give everybody 2^64 windows. An IPv4 address is the same whichever way it is written.
    """
    if not address:
        return NO_ADDRESS
    ip = read_address(address)
    if ip is None:
        return UNREADABLE
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)


def _limits(access: Access, further: Sequence[tuple[str, str]]) -> list[RateLimit]:
    subjects: list[tuple[str, str]] = []
    client = client_subject(request.remote_addr)
    if access.limited:
        subjects.append((GLOBAL, client))
    context = request_context()
    if access.limit and not access.authenticated:
        subjects.append((access.limit, client))
    elif access.limit and (context.caller or context.session):
        subjects.append((access.limit, str(context.merchant_id)))
    subjects += further
    windows = app_context().settings.rate_limits
    limits: list[RateLimit] = []
    for name, subject in subjects:
        window = windows[name]
        if window is not None:
            limits.append(RateLimit(name, window.quota, window.seconds, subject))
    return limits


def _policies(states: Sequence[RateState]) -> str:
    limits = (state.limit for state in states)
    return ", ".join(f'"{limit.name}";q={limit.quota};w={limit.window}' for limit in limits)


def _remainders(states: Sequence[RateState]) -> str:
    return ", ".join(
        f'"{state.limit.name}";r={state.remaining};t={state.reset}' for state in states
    )
