"""Headers of answers, and parameters of requests."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from atomic_adapters.settings import Settings
from atomic_web.access.idempotency import HEADER, REPLAYED, SYNTAX
from atomic_web.http.request_id import ACCEPTABLE, REQUEST_ID
from atomic_web.http.security_headers import (
    ALLOWED_REQUEST_HEADERS,
    EXPOSED_RESPONSE_HEADERS,
    PREFLIGHT_SECONDS,
    Headers,
)
from atomic_web.schemas.descriptions import UUID, UUID_PATTERN

JsonObject = dict[str, Any]

# RFC 9651: a list of strings, each with integer parameters.
_POLICY: Final = r'"[a-z_]+";q=[0-9]+;w=[0-9]+'
_STATE: Final = r'"[a-z_]+";r=[0-9]+;t=[0-9]+'

CORS: Final = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers")
PREFLIGHT: Final = (
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Max-Age",
)


def _header(description: str, *, required: bool = False, example: Any, **schema: Any) -> JsonObject:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string", **schema},
        "example": example,
    }


_OWN: Final[Mapping[str, JsonObject]] = {
    REQUEST_ID: _header(
        "The caller's own, if it is 1 to 128 visible ASCII characters; else a new one.",
        required=True,
        example="7c4a2f9e-3b0d-4f6a-9c1e-5d8b7a60f213",
        pattern=f"^{ACCEPTABLE.pattern}$",
    ),
    "RateLimit-Policy": _header(
        "The limits this request was counted against: `q` requests in `w` seconds. Absent where "
        "limits are switched off.",
        example='"global";q=100;w=900, "payments";q=10;w=60',
        pattern=f"^{_POLICY}(?:, {_POLICY})*$",
    ),
    "RateLimit": _header(
        "What remains of each: `r` requests for `t` seconds.",
        example='"global";r=42;t=617, "payments";r=9;t=60',
        pattern=f"^{_STATE}(?:, {_STATE})*$",
    ),
    "Retry-After": _header(
        "Seconds after which to send the same request again, with the same Idempotency-Key.",
        required=True,
        example=1,
        type="integer",
        minimum=1,
    ),
    "Location": _header(
        "The path of what was made.",
        required=True,
        example="/api/v1/payments/0199c0de-0000-7000-8000-000000000001",
        format="uri-reference",
        pattern=f"^/api/v1/(?:payments|accounts|refunds)/{UUID_PATTERN[1:]}",
    ),
    "WWW-Authenticate": _header(
        "How to authenticate.", required=True, example="Bearer", const="Bearer"
    ),
    REPLAYED: _header(
        "Only if this answer was first given to an earlier request with the same Idempotency-Key.",
        example="true",
        const="true",
    ),
    "Allow": _header(
        "The methods this address answers to.",
        required=True,
        example="GET, HEAD, OPTIONS",
        pattern="^[A-Z]+(?:, [A-Z]+)*$",
    ),
    "ETag": _header(
        "Changes with this document; strong.",
        required=True,
        example='"0f4a17"',
        pattern='^"[\\x21\\x23-\\x7e]+"$',
    ),
}

_CORS: Final[Mapping[str, JsonObject]] = {
    "Access-Control-Allow-Origin": _header(
        "Only to origins that are configured.", example="https://shop.example"
    ),
    "Access-Control-Expose-Headers": _header(
        "With Access-Control-Allow-Origin.", example=", ".join(sorted(EXPOSED_RESPONSE_HEADERS))
    ),
    "Access-Control-Allow-Methods": _header(
        "To a preflight.", example="DELETE, GET, HEAD, OPTIONS, POST"
    ),
    "Access-Control-Allow-Headers": _header(
        "To a preflight.", example=", ".join(ALLOWED_REQUEST_HEADERS).lower()
    ),
    "Access-Control-Max-Age": _header(
        "To a preflight.", example=PREFLIGHT_SECONDS, type="integer", const=PREFLIGHT_SECONDS
    ),
}

PARAMETERS: Final[Mapping[str, JsonObject]] = {
    REQUEST_ID: {
        "name": REQUEST_ID,
        "in": "header",
        "description": "Repeated in the answer and in our log, if it is 1 to 128 visible ASCII "
        "characters; anything else is replaced, never refused.",
        "schema": {"type": "string"},
        "example": "order-4711",
    },
    HEADER: {
        "name": HEADER,
        "in": "header",
        "description": "1 to 255 visible ASCII characters, bare or as a quoted string (RFC 9651, "
        "3.3.3); with a comma, quoted. A repeat within the retention time gets the first status "
        "and body byte for byte. A request that was refused leaves its key unused.",
        "schema": {"type": "string", "pattern": SYNTAX},
        "example": "4f0a9e52-7a55-4d0c-b6a5-0c7d6cf6f6a1",
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "ETags of copies at hand: 304 if one of them still holds.",
        "schema": {"type": "string"},
        "example": '"0f4a17"',
    },
}


def path_id(name: str) -> JsonObject:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "In lower case with hyphens.",
        "schema": dict(UUID),
        "example": "0199c0de-0000-7000-8000-000000000001",
    }


def any_id(name: str) -> JsonObject:
    return path_id(name) | {"description": "Not looked at.", "schema": {"type": "string"}}


def header_components(settings: Settings, standing: Headers) -> dict[str, JsonObject]:
    """Every header there is; `standing` are those that never change."""
    return {**_OWN, **(_CORS if settings.cors_origins else {}), **fixed(standing)}


def fixed(standing: Headers) -> dict[str, JsonObject]:
    return {
        name: _header("Always the same.", required=True, example=value, const=value)
        for name, value in standing
    }


def refer(names: Iterable[str]) -> dict[str, JsonObject]:
    """By name; with a question mark behind it, a header that is only sometimes there."""
    return {name.rstrip("?"): _reference(name) for name in names}


def _reference(name: str) -> JsonObject:
    if name.endswith("?"):
        return {**_OWN[name[:-1]], "required": False}
    return {"$ref": f"#/components/headers/{name}"}


def linked(operation: str, pointer: str) -> JsonObject:
    """A Link Object: the id at `pointer` in this answer's body is the one to ask for there."""
    return {"operationId": operation, "parameters": {"id": f"$response.body#{pointer}"}}
