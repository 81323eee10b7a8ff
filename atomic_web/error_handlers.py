"""Renders every error as the error envelope."""

from collections.abc import Mapping
from typing import Final

import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from atomic_core.domain.errors import AtomicError, NotFound
from atomic_web.context import request_context
from atomic_web.errors import (
    RETRY_AFTER_SECONDS,
    STATUS,
    InternalError,
    MalformedRequest,
    PayloadTooLarge,
    UnknownMethod,
    UnsupportedMediaType,
)
from atomic_web.http.responses import error_envelope, json_response

log = structlog.get_logger(__name__)

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
        wait = max((state.reset for state in request_context().rates if state.exceeded), default=1)
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
