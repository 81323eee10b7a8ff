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
from atomic_core.domain.merchants import holds_a_key
from atomic_core.use_cases.idempotency import Answer, Command
from atomic_web.context import app_context, request_context
from atomic_web.http.raw_headers import is_repeated
from atomic_web.http.responses import stored_response

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"

Order = TypeVar("Order")
Result = TypeVar("Result")

VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,255}")

# WSGI joins repeated headers with a comma, so a bare key may not hold one, and one in quotes is
# looked at twice. Inside quotes only a quote and a backslash are escaped (RFC 9651, 3.3.3).
_BARE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x7e][\x21-\x2b\x2d-\x7e]{0,254}")
_QUOTED: Final = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
SYNTAX: Final = f"^(?:{_BARE.pattern}|{_QUOTED.pattern})$"

_ESCAPED: Final = re.compile(r'\\(["\\])')


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def read_key() -> str | None:
    """The caller's key, None if there is none. Raises ValidationFailed."""
    header = request.headers.get(HEADER)
    if header is None:
        return None
    if holds_a_key(header):
        raise ValidationFailed(details={HEADER: ["Must not be an API key: it is kept and shown."]})
    if _BARE.fullmatch(header):
        return header
    quoted = _QUOTED.fullmatch(header)
    if quoted and not ("," in header and is_repeated(request.environ, HEADER)):
        return _ESCAPED.sub(r"\1", quoted[1])
    expected = "Must be one key of 1 to 255 visible ASCII characters; with a comma, in quotes."
    raise ValidationFailed(details={HEADER: [expected]})


def is_key(text: str) -> bool:
    """Whether this can be a key, where it stands by itself and needs no quotes."""
    return VISIBLE.fullmatch(text) is not None


def fingerprint(method: str, path: str, content: dict[str, Any]) -> bytes:
    """SHA-256 of the request with its JSON in canonical form: spaces and order do not count."""
    canonical = _CANONICAL.encode(content)
    return hashlib.sha256(f"{method} {path}\n{canonical}".encode()).digest()


def idempotent_request(
    key: str | None, content: dict[str, Any], scope: UUID | None = None
) -> IdempotentRequest | None:
    """The request at hand as one to be done once, if it carries a key. `content` is the body as
    it was sent, without what must not be kept even as a fingerprint. The key belongs to the
    merchant at hand, or else to `scope`."""
    if key is None:
        return None
    asked = request_ctx.request
    return request_for(asked.method, asked.path, key, content, scope)


def request_for(
    method: str, path: str, key: str, content: dict[str, Any], scope: UUID | None = None
) -> IdempotentRequest:
    """A request of the caller at hand."""
    context = request_context()
    return IdempotentRequest(
        merchant_id=scope or context.merchant_id,
        key=key,
        method=method,
        path=path,
        fingerprint=fingerprint(method, path, content),
        keep_for=context.app_context.settings.idempotency_retention,
    )


def perform(
    key: str | None,
    command: Command[Order, Result],
    order: Order,
    render: Callable[[Result], StoredResponse],
    content: dict[str, Any],
    keep: Callable[[StoredResponse], StoredResponse] | None = None,
) -> Response:
    """Do the command, once per key if there is one. `content` is the body as it was sent; `keep`
    leaves out of the answer what only the first is told."""
    asked = idempotent_request(key, content)
    if asked is None:
        return stored_response(render(command(order)))
    return to_response(
        app_context().application.idempotency.perform_once(asked, command, order, render, keep)
    )


def redact(secret: str) -> Callable[[StoredResponse], StoredResponse]:
    """An answer as it may be kept: with null for this member of its data. What a repeat is told
    is that the first was heard, not what only the first may know."""

    def withheld(response: StoredResponse) -> StoredResponse:
        body = orjson.loads(response.body)
        body["data"][secret] = None
        return StoredResponse(response.status, orjson.dumps(body), response.location)

    return withheld


def to_response(answer: Answer) -> Response:
    response = stored_response(answer.response)
    if answer.replayed:
        response.headers[REPLAYED] = "true"
    return response
