"""One log line and one observation per request. Never headers, bodies, keys or tokens."""

import time

import structlog

from atomic_web import metrics
from atomic_web.context import RequestContext

log = structlog.get_logger(__name__)


def log_request(request_context: RequestContext, method: str, route: str, status: int) -> None:
    """request_id and merchant_id are bound already and stand on every line of the visit."""
    seconds = time.perf_counter() - request_context.started
    metrics.observe(route, method, status, seconds)
    facts: dict[str, object] = {
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1_000, 3),
    }
    if request_context.payment_id is not None:
        facts["payment_id"] = str(request_context.payment_id)
    if request_context.payments is not None:
        facts["payments"] = request_context.payments
    log.info("request", **facts)
