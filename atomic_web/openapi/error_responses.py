"""Every error response: one component per status, or two if their headers differ."""

from dataclasses import dataclass
from typing import Any, Final

from atomic_core.domain.errors import (
    AtomicError,
    Conflict,
    EventsPurged,
    Forbidden,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    MerchantSuspended,
    NotFound,
    RateLimited,
    StorageUnavailable,
    TransactionRefused,
    Unauthorized,
    ValidationFailed,
    WrongPassword,
)
from atomic_web import errors
from atomic_web.errors import RETRY_AFTER_SECONDS, STATUS
from atomic_web.openapi.examples import META

RATE_LIMIT_HEADERS: Final = ("RateLimit-Policy", "RateLimit")
"""On every response to a request that was counted against a limit."""


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    name: str
    errors: tuple[AtomicError, ...]
    """One example per error code."""
    headers: tuple[str, ...] = RATE_LIMIT_HEADERS

    @property
    def codes(self) -> list[str]:
        return sorted({error.code for error in self.errors})

    @property
    def status(self) -> int:
        (status,) = {STATUS.get(error.code, 500) for error in self.errors}
        return status

    def build_response(self) -> dict[str, Any]:
        """The Response Object, with a list of header names instead of its headers."""
        header_names = list(self.headers)
        have_retry_after = [code in RETRY_AFTER_SECONDS for code in self.codes]
        if self.status == 429 or all(have_retry_after):
            header_names.append("Retry-After")
        elif any(have_retry_after):
            header_names.append("Retry-After?")
        return {
            "description": " ".join(_describe(error) for error in self.errors),
            "headers": header_names,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ErrorResponse"},
                    "examples": {
                        error.code: {"value": _build_example(error)} for error in self.errors
                    },
                }
            },
        }


def _describe(error: AtomicError) -> str:
    return f"`{error.code}`: {(type(error).__doc__ or '').strip()}"


def _build_example(error: AtomicError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        body["details"] = {name: list(messages) for name, messages in error.details.items()}
    return {"success": False, "error": body, "meta": META}


BAD_REQUEST: Final = ErrorResponse(
    "BadRequest",
    (
        errors.MalformedRequest("The body must be JSON. The first error is at line 1, column 13."),
        ValidationFailed(
            details={"source": ["Must be tok_ or pm_ followed by 1 to 60 of A-Z, a-z, 0-9 and _."]}
        ),
    ),
)
UNAUTHORIZED: Final = ErrorResponse(
    "Unauthorized", (Unauthorized(),), (*RATE_LIMIT_HEADERS, "WWW-Authenticate")
)
FORBIDDEN: Final = ErrorResponse("Forbidden", (Forbidden(),))
MERCHANT_SUSPENDED: Final = ErrorResponse("MerchantSuspended", (MerchantSuspended(),))
WRONG_PASSWORD: Final = ErrorResponse("WrongPassword", (WrongPassword(),))
REGISTRATION_CLOSED: Final = ErrorResponse("RegistrationClosed", (errors.RegistrationClosed(),))
NOT_FOUND: Final = ErrorResponse("NotFound", (NotFound(),))
EVENTS_PURGED: Final = ErrorResponse(
    "EventsPurged", (EventsPurged(details={"after": ["Must be 4200 or more."]}),)
)
METHOD_NOT_ALLOWED: Final = ErrorResponse(
    "MethodNotAllowed", (errors.MethodNotSupported(),), (*RATE_LIMIT_HEADERS, "Allow")
)
URI_TOO_LONG: Final = ErrorResponse("UriTooLong", (errors.UriTooLong(),), ())
HEADERS_TOO_LARGE: Final = ErrorResponse("HeadersTooLarge", (errors.HeadersTooLarge(),), ())
REQUEST_TIMEOUT: Final = ErrorResponse("RequestTimeout", (errors.RequestTimeout(),), ())
CONFLICT: Final = ErrorResponse("Conflict", (IdempotencyKeyInUse(),))
STATE_CONFLICT: Final = ErrorResponse(
    "StateConflict",
    (
        Conflict(
            "Only a payment that is AUTHORIZED can be captured or canceled; this one is SUCCESS.",
            details={"status": ["SUCCESS"]},
        ),
        IdempotencyKeyInUse(),
    ),
)
EXTERNAL_ID_CONFLICT: Final = ErrorResponse(
    "ExternalIdConflict",
    (
        Conflict(
            "Another ledger transaction has this externalId.",
            details={"externalId": ["Is that of 0199c0de-0000-7000-8000-000000000013."]},
        ),
        IdempotencyKeyInUse(),
    ),
)
ALREADY_REVERSED: Final = ErrorResponse(
    "AlreadyReversed",
    (
        Conflict(
            "This ledger transaction is reversed already.",
            details={"reversedById": ["0199c0de-0000-7000-8000-000000000014"]},
        ),
        IdempotencyKeyInUse(),
    ),
)
TRANSACTION_REFUSED: Final = ErrorResponse(
    "TransactionRefused",
    (TransactionRefused(details={"entries.0": ["insufficient_balance"]}), IdempotencyKeyReused()),
)
PAYLOAD_TOO_LARGE: Final = ErrorResponse("PayloadTooLarge", (errors.PayloadTooLarge(),))
UNSUPPORTED_MEDIA_TYPE: Final = ErrorResponse(
    "UnsupportedMediaType", (errors.UnsupportedMediaType(),)
)
KEY_REUSED: Final = ErrorResponse("IdempotencyKeyReused", (IdempotencyKeyReused(),))
TOO_MANY_REQUESTS: Final = ErrorResponse("TooManyRequests", (RateLimited(),))
INTERNAL_ERROR: Final = ErrorResponse("InternalError", (errors.InternalError(),))
SERVICE_UNAVAILABLE: Final = ErrorResponse("ServiceUnavailable", (StorageUnavailable(),))
NOT_READY: Final = ErrorResponse("NotReady", (errors.NotReady(details={"postgres": ["down"]}),))

COMMON: Final = (BAD_REQUEST, REQUEST_TIMEOUT, URI_TOO_LONG, HEADERS_TOO_LARGE, INTERNAL_ERROR)
"""Possible on every route."""

ALL: Final = (
    # Without METHOD_NOT_ALLOWED: a documented operation never has it.
    BAD_REQUEST,
    UNAUTHORIZED,
    FORBIDDEN,
    MERCHANT_SUSPENDED,
    WRONG_PASSWORD,
    REGISTRATION_CLOSED,
    NOT_FOUND,
    EVENTS_PURGED,
    REQUEST_TIMEOUT,
    CONFLICT,
    STATE_CONFLICT,
    EXTERNAL_ID_CONFLICT,
    ALREADY_REVERSED,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    KEY_REUSED,
    TRANSACTION_REFUSED,
    TOO_MANY_REQUESTS,
    INTERNAL_ERROR,
    SERVICE_UNAVAILABLE,
    NOT_READY,
    URI_TOO_LONG,
    HEADERS_TOO_LARGE,
)
