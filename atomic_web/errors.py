"""THE table from error code to HTTP status, and how every refusal leaves the door."""

from collections.abc import Mapping
from typing import Final

import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from atomic_core.domain.errors import AtomicError, NotFound
from atomic_web.context import visit
from atomic_web.responses import error_envelope, json_response

STATUS: Final[Mapping[str, int]] = {
    "malformed_request": 400,
    "validation_failed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "idempotency_key_in_use": 409,
    "payload_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal_error": 500,
    "not_ready": 503,
    "service_unavailable": 503,
}

RETRY_AFTER_SECONDS: Final[Mapping[str, int]] = {
    "idempotency_key_in_use": 1,
    "not_ready": 1,
    "service_unavailable": 1,
}
"""rate_limited is not here: how long to wait is in its window."""

log = structlog.get_logger(__name__)


class MalformedRequest(AtomicError):
    """The request could not be understood."""

    code = "malformed_request"


class UnknownMethod(AtomicError):
    """This address does not answer to that method."""

    code = "method_not_allowed"


class RequestTimeout(AtomicError):
    """The request did not arrive in time."""

    code = "request_timeout"
    retryable = True


class PayloadTooLarge(AtomicError):
    """The body is larger than this API accepts."""

    code = "payload_too_large"


class UriTooLong(AtomicError):
    """The address is longer than this API accepts."""

    code = "uri_too_long"


class HeadersTooLarge(AtomicError):
    """The headers are more, or longer, than this API accepts."""

    code = "headers_too_large"


class UnsupportedMediaType(AtomicError):
    """Send the body as application/json in UTF-8, not compressed."""

    code = "unsupported_media_type"


class ServiceUnavailable(AtomicError):
    """The service cannot take this request right now; nothing has changed."""

    code = "service_unavailable"
    retryable = True


class NotReady(AtomicError):
    """Something this service cannot work without is down."""

    code = "not_ready"
    retryable = True


class InternalError(AtomicError):
    """Something went wrong on our side."""


_FROM_WERKZEUG: Final[Mapping[int, type[AtomicError]]] = {
    404: NotFound,
    405: UnknownMethod,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}


def register_errors(app: Flask) -> None:
    app.register_error_handler(AtomicError, _answer)
    app.register_error_handler(HTTPException, _answer_werkzeug)
    app.register_error_handler(Exception, _answer_bug)


def _answer(error: AtomicError) -> Response:
    status = STATUS.get(error.code, 500)
    if status == 500:
        return _answer_bug(error)
    response = json_response(error_envelope(error.code, error.message, error.details), status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    wait = RETRY_AFTER_SECONDS.get(error.code)
    if status == 429:
        wait = max((state.reset for state in visit().rates if state.exceeded), default=1)
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    return response


def _answer_werkzeug(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _answer_bug(error)
    # Werkzeug's own words are for people with browsers; ours are written in one place.
    response = _answer(_FROM_WERKZEUG.get(status, MalformedRequest)())
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _answer_bug(error: Exception) -> Response:
    # The traceback is for the log; the caller gets the request id to ask with.
    log.error("unexpected_error", exc_info=error)
    ours = InternalError()
    return json_response(error_envelope(ours.code, ours.message), 500)
