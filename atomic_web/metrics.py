"""Prometheus metrics of requests. Served by gunicorn's master (see server/gunicorn_conf.py)."""

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from atomic_core.domain.backlog import Backlog
from atomic_core.domain.process_load import NO_LOAD, ProcessLoad

REQUESTS: Final = Counter(
    "atomic_http_requests_total", "Requests answered.", ["route", "method", "status"]
)
DURATION: Final = Histogram(
    "atomic_http_request_duration_seconds",
    "Time from the request's arrival in the application to its answer.",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RATE_LIMITER_UNAVAILABLE: Final = Counter(
    "atomic_rate_limiter_unavailable_total", "Requests that could not be counted."
)
RATE_LIMITER_FULL: Final = Counter(
    "atomic_rate_limiter_full_total",
    "Requests that could not be counted: Redis has no memory left.",
)
DUE_ITEMS: Final = Gauge(
    "atomic_due_items",
    "Payments and refunds that are due and not claimed.",
    # Each process of the API measures the same.
    multiprocess_mode="mostrecent",
)
DUE_OLDEST_AGE: Final = Gauge(
    "atomic_due_oldest_age_seconds",
    "How long the oldest of them could have been claimed.",
    multiprocess_mode="mostrecent",
)

IDEMPOTENCY_REPLAYS: Final = Counter(
    "atomic_idempotency_replays_total", "Requests answered with the response of an earlier one."
)
IDEMPOTENCY_CONFLICTS: Final = Counter(
    "atomic_idempotency_conflicts_total",
    "Requests refused because of their Idempotency-Key.",
    ["reason"],
)
POOL_CONNECTIONS: Final = Gauge(
    "atomic_database_pool_connections",
    "Connections to the database that are open.",
    multiprocess_mode="livesum",
)
POOL_IN_USE: Final = Gauge(
    "atomic_database_pool_in_use", "Those of them that are in use.", multiprocess_mode="livesum"
)
POOL_WAITING: Final = Gauge(
    "atomic_database_pool_waiting",
    "Requests that wait for a connection.",
    multiprocess_mode="livesum",
)
POOL_WAITS: Final = Counter(
    "atomic_database_pool_waits_total", "Requests that had to wait for a connection."
)
POOL_WAIT_SECONDS: Final = Counter(
    "atomic_database_pool_wait_seconds_total", "How long they waited, together."
)
POOL_FAILURES: Final = Counter(
    "atomic_database_pool_failures_total", "Requests that got no connection in time."
)
LOST_WAKEUPS: Final = Counter(
    "atomic_wakeups_lost_total", "Wake-ups of workers that could not be sent."
)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """`route` is the URL rule that matched, never the path, and an unknown method is OTHER: labels
    that callers choose would create time series without bound."""
    method_label = method if method in _METHODS else "OTHER"
    _get_request_counter(route, method_label, status).inc()
    _get_duration_histogram(route, method_label).observe(seconds)


def observe_malformed_request(status: int) -> None:
    """Count a request that was refused before it reached the application."""
    _get_request_counter("unreadable", "OTHER", status).inc()


def observe_backlog(backlog: Backlog) -> None:
    DUE_ITEMS.set(backlog.due)
    DUE_OLDEST_AGE.set(backlog.oldest_age.total_seconds())


def observe_load(load: ProcessLoad, previous: ProcessLoad = NO_LOAD) -> None:
    """`previous` is what was observed last, in this process."""
    POOL_CONNECTIONS.set(load.pool.size)
    POOL_IN_USE.set(load.pool.in_use)
    POOL_WAITING.set(load.pool.waiting)
    POOL_WAITS.inc(load.pool.waits - previous.pool.waits)
    POOL_WAIT_SECONDS.inc(load.pool.wait_seconds - previous.pool.wait_seconds)
    POOL_FAILURES.inc(load.pool.failures - previous.pool.failures)
    LOST_WAKEUPS.inc(load.lost_wakeups - previous.lost_wakeups)


# Cached because finding a metric by its labels takes longer than incrementing it. The caches are
# bounded: callers cannot create labels.
@cache
def _get_request_counter(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, str(status))


@cache
def _get_duration_histogram(route: str, method: str) -> Histogram:
    return DURATION.labels(route, method)
