"""One log line and one observation per request. Never headers, bodies, keys or tokens."""

import time

import structlog

from atomic_web import metrics
from atomic_web.context import Visit

log = structlog.get_logger(__name__)


def log_request(visit: Visit, method: str, route: str, status: int) -> None:
    """request_id and merchant_id are bound already and stand on every line of the visit."""
    seconds = time.perf_counter() - visit.started
    metrics.observe(route, method, status, seconds)
    facts: dict[str, object] = {
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1_000, 3),
    }
    if visit.payment_id is not None:
        facts["payment_id"] = str(visit.payment_id)
    log.info("request", **facts)
