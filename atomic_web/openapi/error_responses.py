"""Every way to be refused, one component per status (two where the headers differ)."""

from dataclasses import dataclass
from typing import Any, Final

from atomic_core.domain.errors import (
    AtomicError,
    Conflict,
    Forbidden,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    NotFound,
    RateLimited,
    StorageUnavailable,
    Unauthorized,
    ValidationFailed,
)
from atomic_web import errors
from atomic_web.errors import RETRY_AFTER_SECONDS, STATUS
from atomic_web.openapi.examples import META

COUNTED: Final = ("RateLimit-Policy", "RateLimit")
"""On what is refused once the request has been counted, and was counted at all."""


@dataclass(frozen=True, slots=True)
class Refusal:
    name: str
    errors: tuple[AtomicError, ...]
    """One for each code."""
    headers: tuple[str, ...] = COUNTED

    @property
    def codes(self) -> list[str]:
        return sorted({error.code for error in self.errors})

    @property
    def status(self) -> int:
        (status,) = {STATUS.get(error.code, 500) for error in self.errors}
        return status

    def as_response(self) -> dict[str, Any]:
        """As OpenAPI's Response Object, but for the headers that all answers carry."""
        own = list(self.headers)
        waits = [code in RETRY_AFTER_SECONDS for code in self.codes]
        if self.status == 429 or any(waits):
            own.append("Retry-After" if self.status == 429 or all(waits) else "Retry-After?")
        narrowed = {"properties": {"code": {"enum": self.codes}}}
        return {
            "description": " ".join(_words(error) for error in self.errors),
            "headers": own,
            "content": {
                "application/json": {
                    "schema": {
                        "allOf": [{"$ref": "#/components/schemas/Refusal"}],
                        "properties": {"error": narrowed},
                    },
                    "examples": {error.code: {"value": _example(error)} for error in self.errors},
                }
            },
        }


def _words(error: AtomicError) -> str:
    return f"`{error.code}`: {(type(error).__doc__ or '').strip()}"


def _example(error: AtomicError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        told["details"] = {name: list(faults) for name, faults in error.details.items()}
    return {"success": False, "error": told, "meta": META}


BAD_REQUEST: Final = Refusal(
    "BadRequest",
    (
        errors.MalformedRequest("The body is not JSON."),
        ValidationFailed(details={"source": ["Must be tok_ and 1 to 60 of A-Z, a-z, 0-9 and _."]}),
    ),
)
UNAUTHORIZED: Final = Refusal("Unauthorized", (Unauthorized(),), (*COUNTED, "WWW-Authenticate"))
FORBIDDEN: Final = Refusal("Forbidden", (Forbidden(),))
NOT_FOUND: Final = Refusal("NotFound", (NotFound(),))
METHOD_NOT_ALLOWED: Final = Refusal(
    "MethodNotAllowed", (errors.UnknownMethod(),), (*COUNTED, "Allow")
)
URI_TOO_LONG: Final = Refusal("UriTooLong", (errors.UriTooLong(),), ())
HEADERS_TOO_LARGE: Final = Refusal("HeadersTooLarge", (errors.HeadersTooLarge(),), ())
REQUEST_TIMEOUT: Final = Refusal("RequestTimeout", (errors.RequestTimeout(),), ())
CONFLICT: Final = Refusal("Conflict", (IdempotencyKeyInUse(),))
STATE_CONFLICT: Final = Refusal(
    "StateConflict",
    (
        Conflict(
            "Only a payment that is AUTHORIZED can be captured or canceled; this one is SUCCESS.",
            details={"status": ["SUCCESS"]},
        ),
        IdempotencyKeyInUse(),
    ),
)
PAYLOAD_TOO_LARGE: Final = Refusal("PayloadTooLarge", (errors.PayloadTooLarge(),))
UNSUPPORTED_MEDIA_TYPE: Final = Refusal("UnsupportedMediaType", (errors.UnsupportedMediaType(),))
KEY_REUSED: Final = Refusal("IdempotencyKeyReused", (IdempotencyKeyReused(),))
TOO_MANY: Final = Refusal("TooManyRequests", (RateLimited(),))
BUG: Final = Refusal("InternalError", (errors.InternalError(),))
UNAVAILABLE: Final = Refusal("ServiceUnavailable", (StorageUnavailable(),))
NOT_READY: Final = Refusal("NotReady", (errors.NotReady(details={"postgres": ["down"]}),), ())

ANYWHERE: Final = (BAD_REQUEST, REQUEST_TIMEOUT, URI_TOO_LONG, HEADERS_TOO_LARGE, BUG)
"""A request may be unreadable, late, too long, or meet a bug wherever it goes."""

UNROUTED: Final = (NOT_FOUND, METHOD_NOT_ALLOWED)
"""What addresses and methods answer that this document does not name."""

REFUSALS: Final = (
    *(BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, REQUEST_TIMEOUT),
    *(
        CONFLICT,
        STATE_CONFLICT,
        PAYLOAD_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        KEY_REUSED,
        TOO_MANY,
        BUG,
    ),
    *(UNAVAILABLE, NOT_READY, URI_TOO_LONG, HEADERS_TOO_LARGE),
)
