"""What could not be read as a request: refused in the words of every other refusal.

gunicorn finds the fault before there is anything for Flask to answer. What it says of it quotes
the client, who may have put a key there: neither the log nor the answer repeats it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import orjson
import structlog
from gunicorn.http.errors import (
    ConfigurationProblem,
    # The types known of gunicorn are an older one's.
    InvalidResponseHeader,  # pyright: ignore[reportAttributeAccessIssue]
    InvalidResponseHeaderName,  # pyright: ignore[reportAttributeAccessIssue]
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)

from atomic_core.domain.errors import AtomicError
from atomic_core.domain.timestamps import format_rfc3339
from atomic_web import metrics
from atomic_web.errors import (
    STATUS,
    HeadersTooLarge,
    InternalError,
    MalformedRequest,
    UriTooLong,
)
from atomic_web.http.request_id import REQUEST_ID, request_id_of
from atomic_web.http.responses import JSON

_OUR_OWN_FAULT: Final = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)

log = structlog.get_logger(__name__)


def refusal(error: BaseException, address: str | None, headers: Sequence[tuple[str, str]]) -> bytes:
    """A complete HTTP message, for whom there is no request to visit with. `headers` are those
    of every answer. The connection must be closed after it: what follows on it is anybody's
    guess."""
    ours = in_our_words(error)
    status = HTTPStatus(STATUS[ours.code])
    request_id = request_id_of({})
    metrics.observe_unreadable(status)
    facts = {"request_id": request_id, "address": address, "status": int(status)}
    if status >= 500:
        log.error("unexpected_error", **facts, exc_info=error)
    else:
        log.info("unreadable_request", **facts, fault=type(error).__name__)
    return _message(status, ours, request_id, headers)


def in_our_words(error: BaseException) -> AtomicError:
    match error:
        case AtomicError() if STATUS.get(error.code, 500) < 500:
            return error
        case LimitRequestLine():
            return UriTooLong()
        case LimitRequestHeaders():
            return HeadersTooLarge()
        case ParseException() if not isinstance(error, _OUR_OWN_FAULT):
            # Also a transfer coding or an expectation that nobody has heard of, for which HTTP
            # has 501 and 417: what a client got wrong is never told as a fault of ours.
            return MalformedRequest("The request is not well-formed HTTP.")
    return InternalError()


def _message(
    status: HTTPStatus, error: AtomicError, request_id: str, headers: Sequence[tuple[str, str]]
) -> bytes:
    body = orjson.dumps(
        {
            "success": False,
            "error": {"code": error.code, "message": error.message},
            "meta": {"timestamp": format_rfc3339(datetime.now(UTC)), "requestId": request_id},
        }
    )
    told = [
        ("Connection", "close"),
        ("Content-Type", JSON),
        ("Content-Length", str(len(body))),
        (REQUEST_ID, request_id),
        *headers,
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in told)
    return f"HTTP/1.1 {status} {status.phrase}\r\n{head}\r\n".encode("ascii") + body
