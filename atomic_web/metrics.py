"""What is counted about requests. Served by gunicorn's master (see gunicorn_conf.py)."""

from functools import cache
from typing import Final

from prometheus_client import Counter, Histogram

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

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """`route` is the rule that matched, never the path: labels that callers choose would fill
    the memory. For the same reason a method nobody has heard of is OTHER."""
    known = method if method in _METHODS else "OTHER"
    _answered(route, known, status).inc()
    _duration(route, known).observe(seconds)


def observe_unreadable(status: int) -> None:
    """Of what was refused before it was a request."""
    _answered("unreadable", "OTHER", status).inc()


# To find a metric by its labels takes longer than to count in it. As many as there are labels,
# of which callers can make none.
@cache
def _answered(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, str(status))


@cache
def _duration(route: str, method: str) -> Histogram:
    return DURATION.labels(route, method)
