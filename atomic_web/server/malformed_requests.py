"""Responses to requests that gunicorn cannot parse, in the same envelope as every other error.

gunicorn fails before Flask sees a request. Its error messages quote the request, which may hold an
API key, so neither the response nor the log repeats them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import orjson
import structlog
from gunicorn.http.errors import (
    ConfigurationProblem,
    # The type stubs describe an older gunicorn.
    InvalidResponseHeader,  # pyright: ignore[reportAttributeAccessIssue]
    InvalidResponseHeaderName,  # pyright: ignore[reportAttributeAccessIssue]
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)

from atomic_core.domain.errors import AtomicError
from atomic_core.domain.timestamps import format_rfc3339
from atomic_core.ports.rate_limiter import RateState
from atomic_web import metrics
from atomic_web.access.rate_limiting import (
    build_rate_limit_error,
    build_rate_limit_headers,
    compute_retry_after_seconds,
)
from atomic_web.errors import (
    STATUS,
    HeadersTooLarge,
    InternalError,
    MalformedRequest,
    UriTooLong,
    build_error_object,
)
from atomic_web.http.request_id import REQUEST_ID, generate_request_id
from atomic_web.http.responses import JSON

_SERVER_ERRORS: Final = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)
"""Parse errors of gunicorn's that the application or its configuration causes, not the client."""

log = structlog.get_logger(__name__)


def render_error_response(
    error: BaseException,
    address: str | None,
    headers: Sequence[tuple[str, str]],
    count_request: Callable[[str | None], Sequence[RateState]] | None = None,
) -> bytes:
    """A complete HTTP response, with `headers` added. The connection must be closed after it:
    where the next request begins is unknown.

    `count_request` counts the request against the limits of its client address, and returns their
    states: a client above a limit gets RateLimited instead of the error.
    """
    domain_error = to_domain_error(error)
    if count_request is not None and STATUS[domain_error.type] < 500:
        states = count_request(address)
        headers = [*headers, *build_rate_limit_headers(states)]
        if any(state.exceeded for state in states):
            domain_error = build_rate_limit_error(states, is_production=True)
            headers.append(("Retry-After", str(compute_retry_after_seconds(states))))
    status = HTTPStatus(STATUS[domain_error.type])
    request_id = str(generate_request_id())
    metrics.observe_malformed_request(status)
    facts = {"request_id": request_id, "address": address, "status": int(status)}
    if status >= 500:
        log.error("unexpected_error", **facts, exc_info=error)
    else:
        log.info("malformed_request", **facts, error=type(error).__name__)
    return _render_message(status, domain_error, request_id, headers)


def to_domain_error(error: BaseException) -> AtomicError:
    match error:
        case AtomicError() if STATUS.get(error.type, 500) < 500:
            return error
        case LimitRequestLine():
            return UriTooLong()
        case LimitRequestHeaders():
            return HeadersTooLarge()
        case ParseException() if not isinstance(error, _SERVER_ERRORS):
            # Also an unknown transfer coding or expectation, for which HTTP has 501 and 417: a
            # client's mistake is never a 5xx here.
            return MalformedRequest("The request must be well-formed HTTP.")
    return InternalError()


def _render_message(
    status: HTTPStatus, error: AtomicError, request_id: str, headers: Sequence[tuple[str, str]]
) -> bytes:
    body = orjson.dumps(
        {
            "success": False,
            "error": build_error_object(error),
            "meta": {"timestamp": format_rfc3339(datetime.now(UTC)), "requestId": request_id},
        }
    )
    all_headers = [
        ("Connection", "close"),
        ("Content-Type", JSON),
        ("Content-Length", str(len(body))),
        (REQUEST_ID, request_id),
        *headers,
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers)
    return f"HTTP/1.1 {status} {status.phrase}\r\n{head}\r\n".encode("ascii") + body
