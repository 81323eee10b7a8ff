"""One log line and one observation per request. Never headers, bodies, keys or tokens."""

import time
from typing import Final

import structlog
from flask import Response, request

from atomic_web import metrics
from atomic_web.context import visit

UNMATCHED: Final = "unmatched"

log = structlog.get_logger(__name__)


def log_request(response: Response) -> Response:
    """request_id and merchant_id are bound already and stand on every line of the visit."""
    at_hand = visit()
    seconds = time.perf_counter() - at_hand.started
    route = request.url_rule.rule if request.url_rule else UNMATCHED
    metrics.observe(route, request.method, response.status_code, seconds)
    facts: dict[str, object] = {
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "duration_ms": round(seconds * 1_000, 3),
    }
    if at_hand.payment_id is not None:
        facts["payment_id"] = str(at_hand.payment_id)
    log.info("request", **facts)
    return response
