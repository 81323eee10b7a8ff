"""Response headers, and parameters that are no query parameters."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from atomic_adapters.settings import Settings
from atomic_web.access.idempotency import IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, KEY_HEADER_PATTERN
from atomic_web.http.request_id import REQUEST_ID, REQUEST_ID_PATTERN
from atomic_web.http.security_headers import (
    ALLOWED_REQUEST_HEADERS,
    EXPOSED_RESPONSE_HEADERS,
    PREFLIGHT_SECONDS,
    Headers,
)
from atomic_web.schemas.descriptions import UUID_PATTERN, UUID_SCHEMA

JsonObject = dict[str, Any]

# RFC 9651: lists of strings with integer parameters.
_POLICY: Final = r'"[a-z_]+";q=[0-9]+;w=[0-9]+'
_STATE: Final = r'"[a-z_]+";r=[0-9]+;t=[0-9]+'

CORS: Final = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers")


def _build_header(
    description: str, *, required: bool = False, example: Any, **schema: Any
) -> JsonObject:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string", **schema},
        "example": example,
    }


_RESPONSE_HEADERS: Final[Mapping[str, JsonObject]] = {
    REQUEST_ID: _build_header(
        "The X-Request-Id of the request if it is 1 to 128 visible ASCII characters; otherwise a "
        "generated one.",
        required=True,
        example="7c4a2f9e-3b0d-4f6a-9c1e-5d8b7a60f213",
        pattern=f"^{REQUEST_ID_PATTERN.pattern}$",
    ),
    "RateLimit-Policy": _build_header(
        "The limits that this request was counted against: `q` requests in `w` seconds. Absent if "
        "limits are switched off.",
        example='"global";q=100;w=900, "payments";q=10;w=60',
        pattern=f"^{_POLICY}(?:, {_POLICY})*$",
    ),
    "RateLimit": _build_header(
        "What remains of each limit: `r` requests for `t` seconds.",
        example='"global";r=42;t=617, "payments";r=9;t=60',
        pattern=f"^{_STATE}(?:, {_STATE})*$",
    ),
    "Retry-After": _build_header(
        "Seconds to wait before the same request is sent again, with the same Idempotency-Key.",
        required=True,
        example=1,
        type="integer",
        minimum=1,
    ),
    "Location": _build_header(
        "The path of the created or changed resource.",
        required=True,
        example="/api/v1/payments/0199c0de-0000-7000-8000-000000000001",
        format="uri-reference",
        pattern="^/api/v1/(?:payments|accounts|refunds|disputes|ledger/(?:transactions|periods))/"
        f"{UUID_PATTERN[1:]}",
    ),
    "WWW-Authenticate": _build_header(
        "The authentication scheme.", required=True, example="Bearer", const="Bearer"
    ),
    IDEMPOTENT_REPLAYED: _build_header(
        "Only if an earlier request with the same Idempotency-Key got this response first.",
        example="true",
        const="true",
    ),
    "ETag": _build_header(
        "A strong ETag of this document.",
        required=True,
        example='"0f4a17"',
        pattern='^"[\\x21\\x23-\\x7e]+"$',
    ),
}

_OPTIONS_HEADERS: Final[Mapping[str, JsonObject]] = {
    "Allow": _build_header(
        "The methods that this URL supports.",
        required=True,
        example="GET, HEAD, OPTIONS",
        pattern="^[A-Z]+(?:, [A-Z]+)*$",
    ),
}

_CORS_HEADERS: Final[Mapping[str, JsonObject]] = {
    "Access-Control-Allow-Origin": _build_header(
        "For configured origins only.", example="https://shop.example"
    ),
    "Access-Control-Expose-Headers": _build_header(
        "With Access-Control-Allow-Origin.", example=", ".join(sorted(EXPOSED_RESPONSE_HEADERS))
    ),
}

_PREFLIGHT_HEADERS: Final[Mapping[str, JsonObject]] = {
    "Access-Control-Allow-Methods": _build_header(
        "To a preflight.", example="DELETE, GET, HEAD, OPTIONS, POST"
    ),
    "Access-Control-Allow-Headers": _build_header(
        "To a preflight.", example=", ".join(ALLOWED_REQUEST_HEADERS).lower()
    ),
    "Access-Control-Max-Age": _build_header(
        "To a preflight.", example=PREFLIGHT_SECONDS, type="integer", const=PREFLIGHT_SECONDS
    ),
}

STRIPE_SIGNATURE: Final = "Stripe-Signature"

PARAMETERS: Final[Mapping[str, JsonObject]] = {
    REQUEST_ID: {
        "name": REQUEST_ID,
        "in": "header",
        "description": "Repeated in the response and in the log if it is 1 to 128 visible ASCII "
        "characters; any other value is replaced.",
        "schema": {"type": "string"},
        "example": "order-4711",
    },
    IDEMPOTENCY_KEY: {
        "name": IDEMPOTENCY_KEY,
        "in": "header",
        "description": "1 to 255 visible ASCII characters, bare or as a quoted string (RFC 9651, "
        "3.3.3); quoted if it contains a comma. A repeated request within the retention time gets "
        "the first status and body byte for byte. A request that fails leaves its key unused.",
        "schema": {"type": "string", "pattern": KEY_HEADER_PATTERN},
        "example": "4f0a9e52-7a55-4d0c-b6a5-0c7d6cf6f6a1",
    },
    STRIPE_SIGNATURE: {
        "name": STRIPE_SIGNATURE,
        "in": "header",
        "description": "The time, and the HMAC of time and body under the endpoint's secret.",
        "schema": {"type": "string"},
        "example": f"t=1764259200,v1={'5257a869' * 8}",
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=5` (RFC 7240): as the query parameter `wait`. A longer time than is"
        " possible means the longest; other preferences are ignored.",
        "schema": {"type": "string"},
        "example": "wait=5",
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "ETags of cached copies. 304 if one of them is current.",
        "schema": {"type": "string"},
        "example": '"0f4a17"',
    },
}


def build_id_parameter(name: str) -> JsonObject:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "A UUID in lower case with hyphens.",
        "schema": dict(UUID_SCHEMA),
        "example": "0199c0de-0000-7000-8000-000000000001",
    }


def build_components(settings: Settings, constant_headers: Headers) -> dict[str, JsonObject]:
    """The Header Objects of all response headers, by name."""
    cors_headers = _CORS_HEADERS if settings.cors_origins else {}
    return {**_RESPONSE_HEADERS, **cors_headers, **build_constant_headers(constant_headers)}


def build_options_headers() -> dict[str, JsonObject]:
    """Those that only a response to OPTIONS or a 405 has. Not in the document, which describes
    neither."""
    return {**_OPTIONS_HEADERS, **_PREFLIGHT_HEADERS}


def build_constant_headers(headers: Headers) -> dict[str, JsonObject]:
    return {
        name: _build_header("Constant.", required=True, example=value, const=value)
        for name, value in headers
    }


def build_references(names: Iterable[str]) -> dict[str, JsonObject]:
    """References to header components by name. A question mark after a name makes the header
    optional."""
    return {name.rstrip("?"): _build_reference(name) for name in names}


def _build_reference(name: str) -> JsonObject:
    if name.endswith("?"):
        return {**_RESPONSE_HEADERS[name[:-1]], "required": False}
    return {"$ref": f"#/components/headers/{name}"}


def build_link(operation_id: str, pointer: str) -> JsonObject:
    """A Link Object: the id at `pointer` in the response body is the `id` of the operation."""
    return {"operationId": operation_id, "parameters": {"id": f"$response.body#{pointer}"}}
