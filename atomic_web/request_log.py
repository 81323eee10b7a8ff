"""One log line and one observation per request. Never headers, bodies, keys or tokens."""

import time

import structlog

from atomic_web import metrics
from atomic_web.context import RequestContext

log = structlog.get_logger(__name__)


def log_request(context: RequestContext, method: str, route: str, status: int) -> None:
    """The ids of the request and merchant_id are bound to every log line of the request already."""
    seconds = time.perf_counter() - context.started_at
    metrics.observe_request(route, method, status, seconds)
    fields: dict[str, object] = {
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1_000, 3),
    }
    if context.payment_id is not None:
        fields["payment_id"] = str(context.payment_id)
    if context.payment_count is not None:
        fields["payments"] = context.payment_count
    log.info("request", **fields)
