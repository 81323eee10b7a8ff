"""The Idempotency-Key header, after draft-ietf-httpapi-idempotency-key-header."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
from flask import Response, request
from flask.globals import request_ctx

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.merchants import contains_secret
from atomic_core.use_cases.idempotency import Command, IdempotentResult
from atomic_web import metrics
from atomic_web.context import request_context
from atomic_web.http.responses import render_stored_response
from atomic_web.http.server_environ import is_repeated

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IDEMPOTENT_REPLAYED: Final = "Idempotent-Replayed"

Order = TypeVar("Order")
Result = TypeVar("Result")

KEY_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,255}")

# WSGI joins repeated headers with a comma. A bare key must not contain one, and a quoted key with
# one is checked against the raw headers. Inside quotes only a quote and a backslash are escaped
# (RFC 9651, 3.3.3).
_BARE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x7e][\x21-\x2b\x2d-\x7e]{0,254}")
_QUOTED: Final = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
KEY_HEADER_PATTERN: Final = f"^(?:{_BARE.pattern}|{_QUOTED.pattern})$"

_ESCAPED: Final = re.compile(r'\\(["\\])')

_CANONICAL_JSON: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def read_idempotency_key() -> str | None:
    """None if the request has no Idempotency-Key header. Raises ValidationFailed."""
    header = request.headers.get(IDEMPOTENCY_KEY)
    if header is None:
        return None
    if contains_secret(header):
        raise ValidationFailed(
            details={IDEMPOTENCY_KEY: ["Must not be an API key: it is stored and shown."]}
        )
    if _BARE.fullmatch(header):
        return header
    quoted = _QUOTED.fullmatch(header)
    if quoted and not ("," in header and is_repeated(request.environ, IDEMPOTENCY_KEY)):
        return _ESCAPED.sub(r"\1", quoted[1])
    message = "Must be one key of 1 to 255 visible ASCII characters, in quotes if it has a comma."
    raise ValidationFailed(details={IDEMPOTENCY_KEY: [message]})


def is_valid_key(text: str) -> bool:
    """Whether this is a key outside a header, where no quotes are needed."""
    return KEY_PATTERN.fullmatch(text) is not None


def fingerprint_request(method: str, path: str, content: dict[str, Any]) -> bytes:
    """SHA-256 of the request with its JSON in canonical form, so that white space and the order of
    members do not matter."""
    canonical = _CANONICAL_JSON.encode(content)
    return hashlib.sha256(f"{method} {path}\n{canonical}".encode()).digest()


def read_idempotent_request(
    key: str | None, content: dict[str, Any], scope: UUID | None = None
) -> IdempotentRequest | None:
    """The current request as an IdempotentRequest; None without a key.

    `content` is the body without what must not be stored even as a fingerprint. The key belongs to
    `scope` if it is given, otherwise to the authenticated merchant.
    """
    if key is None:
        return None
    request = request_ctx.request
    return build_idempotent_request(request.method, request.path, key, content, scope)


def build_idempotent_request(
    method: str, path: str, key: str, content: dict[str, Any], scope: UUID | None = None
) -> IdempotentRequest:
    context = request_context()
    return IdempotentRequest(
        merchant_id=scope or context.merchant_id,
        key=key,
        method=method,
        path=path,
        fingerprint=fingerprint_request(method, path, content),
        retention=context.settings.idempotency_retention,
    )


def execute_idempotently(
    key: str | None,
    command: Command[Order, Result],
    order: Order,
    render: Callable[[Result], StoredResponse],
    content: dict[str, Any],
    redact_response: Callable[[StoredResponse], StoredResponse] | None = None,
) -> Response:
    """Execute the command, once per key if there is one.

    `content` is the request body. `redact_response` removes secrets from the stored response.
    """
    request = read_idempotent_request(key, content)
    if request is None:
        return render_stored_response(render(command(order)))
    perform_once = request_context().application.idempotency.perform_once
    return to_response(perform_once(request, command, order, render, redact_response))


def redact(field: str) -> Callable[[StoredResponse], StoredResponse]:
    """Build a function that replaces this field of the response's data with null. Secrets are in
    the first response only; a replay confirms the effect without repeating them."""

    def redact_response(response: StoredResponse) -> StoredResponse:
        body = orjson.loads(response.body)
        body["data"][field] = None
        return StoredResponse(response.status, orjson.dumps(body), response.location)

    return redact_response


def to_response(result: IdempotentResult) -> Response:
    response = render_stored_response(result.response)
    if result.replayed:
        metrics.IDEMPOTENCY_REPLAYS.inc()
        response.headers[IDEMPOTENT_REPLAYED] = "true"
    return response
