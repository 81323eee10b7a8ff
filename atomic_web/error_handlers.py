"""Renders every error as the error envelope."""

import re
from collections.abc import Mapping
from typing import Final

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from atomic_core.domain.errors import (
    AtomicError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    NotFound,
)
from atomic_core.domain.merchants import contains_secret
from atomic_web import metrics
from atomic_web.access.rate_limiting import compute_retry_after_seconds
from atomic_web.context import request_context
from atomic_web.errors import (
    RETRY_AFTER_SECONDS,
    STATUS,
    InternalError,
    MalformedRequest,
    MethodNotSupported,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from atomic_web.http.responses import json_response, render_error_envelope

log = structlog.get_logger(__name__)

_ECHOABLE_PATH: Final = re.compile(r"[A-Za-z0-9/_.~-]{1,200}")

_ERRORS_BY_STATUS: Final[Mapping[int, type[AtomicError]]] = {
    405: MethodNotSupported,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}


def register_error_handlers(app: Flask) -> None:
    app.register_error_handler(AtomicError, _render_error)
    app.register_error_handler(HTTPException, _render_werkzeug_error)
    app.register_error_handler(Exception, _render_unexpected_error)


def _render_error(error: AtomicError) -> Response:
    status = STATUS.get(error.type, 500)
    if status == 500:
        return _render_unexpected_error(error)
    if isinstance(error, IdempotencyKeyReused | IdempotencyKeyInUse):
        metrics.IDEMPOTENCY_CONFLICTS.labels(error.code).inc()
    response = json_response(render_error_envelope(error), status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    retry_after_seconds = RETRY_AFTER_SECONDS.get(error.type)
    if status == 429:
        retry_after_seconds = compute_retry_after_seconds(request_context().rate_limit_states)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response


def _render_werkzeug_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _render_unexpected_error(error)
    if status == 404:
        return _render_error(NotFound(_no_route_message()))
    response = _render_error(_ERRORS_BY_STATUS.get(status, MalformedRequest)())
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _no_route_message() -> str:
    """Name the path, unless it has unusual characters or contains an API key."""
    path = request.path
    if request.method.isalpha() and _ECHOABLE_PATH.fullmatch(path) and not contains_secret(path):
        return f"No route matches {request.method} {path}."
    return "No route matches this URL."


def _render_unexpected_error(error: Exception) -> Response:
    # The traceback goes to the log only. The request id in the response leads to it.
    log.error("unexpected_error", exc_info=error)
    return json_response(render_error_envelope(InternalError()), 500)
