"""Every error response: one component per status, or two if their headers differ."""

from dataclasses import dataclass
from typing import Any, Final

from atomic_core.domain.errors import (
    AccountClosed,
    AccountExternalIdTaken,
    AccountFrozen,
    AccountNotEmpty,
    AmountExceedsHeld,
    AmountExceedsReserved,
    ApiKeyInactive,
    AtomicError,
    Conflict,
    DisputeNotAnswerable,
    EmailTaken,
    EventSignatureInvalid,
    EventsPurged,
    ExternalIdTaken,
    Forbidden,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    MerchantSuspended,
    NotFound,
    PasswordChanged,
    PaymentNotCancelable,
    PaymentNotCapturable,
    PaymentNotRefundable,
    PeriodClosed,
    RateLimited,
    RefundExceedsRemaining,
    ReversalNotReversible,
    SessionInvalid,
    SigningSecretUnreadable,
    StorageUnavailable,
    TooManyApiKeys,
    TooManyPings,
    TooManyRefunds,
    TooManyWaiting,
    TooManyWebhookEndpoints,
    TransactionNotPending,
    TransactionNotPosted,
    TransactionRefused,
    TransactionReversed,
    Unauthorized,
    UnknownTestToken,
    ValidationFailed,
    WebhookEndpointBuiltIn,
    WebhookEndpointDisabled,
    WebhooksUnavailable,
    WrongCredentials,
    WrongPassword,
)
from atomic_web import errors
from atomic_web.errors import RETRY_AFTER_SECONDS, STATUS, build_error_object
from atomic_web.openapi.examples import META

RATE_LIMIT_HEADERS: Final = ("RateLimit-Policy", "RateLimit")
"""On every response to a request that was counted against a limit."""


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    name: str
    errors: tuple[AtomicError, ...]
    """One example per error code."""
    headers: tuple[str, ...] = RATE_LIMIT_HEADERS
    schema: str = "ErrorResponse"
    """The component of the body."""

    @property
    def status(self) -> int:
        (status,) = {STATUS.get(error.type, 500) for error in self.errors}
        return status

    def build_response(self) -> dict[str, Any]:
        """The Response Object, with a list of header names instead of its headers."""
        header_names = list(self.headers)
        have_retry_after = [error.type in RETRY_AFTER_SECONDS for error in self.errors]
        if self.status == 429 or all(have_retry_after):
            header_names.append("Retry-After")
        elif any(have_retry_after):
            header_names.append("Retry-After?")
        return {
            "description": " ".join(_describe(error) for error in self.errors),
            "headers": header_names,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{self.schema}"},
                    "examples": {
                        error.code: {"value": _build_example(error)} for error in self.errors
                    },
                }
            },
        }


def _describe(error: AtomicError) -> str:
    return f"`{error.code}`: {(type(error).__doc__ or '').strip()}"


def _build_example(error: AtomicError) -> dict[str, Any]:
    return {"success": False, "error": build_error_object(error), "meta": META}


def _build_state_conflict(error: type[Conflict], status: str) -> Conflict:
    rule = error().message.removesuffix(".")
    return error(f"{rule}; this one is {status}.", details={"status": [status]})


BAD_REQUEST: Final = ErrorResponse(
    "BadRequest",
    (
        errors.MalformedRequest("The body must be JSON. The first error is at line 1, column 13."),
        ValidationFailed(
            details={"source": ["Must be tok_ or pm_ followed by 1 to 60 of A-Z, a-z, 0-9 and _."]}
        ),
    ),
)
BAD_PAYMENT: Final = ErrorResponse(
    "BadPayment",
    (
        *BAD_REQUEST.errors,
        UnknownTestToken(
            details={"source": ["Is no test token. Did you mean tok_chargeDeclined?"]}
        ),
    ),
)
EVENT_REFUSED: Final = ErrorResponse("EventRefused", (*BAD_REQUEST.errors, EventSignatureInvalid()))
_CHALLENGE: Final = (*RATE_LIMIT_HEADERS, "WWW-Authenticate")
UNAUTHORIZED: Final = ErrorResponse(
    "Unauthorized",
    (
        errors.ApiKeyMissing(),
        errors.ApiKeyMalformed(),
        errors.SessionTokenGiven(),
        Unauthorized(),
    ),
    _CHALLENGE,
)
SESSION_UNAUTHORIZED: Final = ErrorResponse(
    "SessionUnauthorized",
    (
        errors.SessionTokenMissing(),
        errors.SessionTokenMalformed(),
        errors.ApiKeyGiven(),
        SessionInvalid(),
    ),
    _CHALLENGE,
)
WRONG_CREDENTIALS: Final = ErrorResponse("WrongCredentials", (WrongCredentials(),), _CHALLENGE)
FORBIDDEN: Final = ErrorResponse(
    "Forbidden",
    (
        Forbidden(),
        errors.ScopeMissing(
            "This API key lacks the scope refunds:write.",
            details={"scope": ["Must include refunds:write."]},
        ),
    ),
)
MERCHANT_SUSPENDED: Final = ErrorResponse("MerchantSuspended", (MerchantSuspended(),))
WRONG_PASSWORD: Final = ErrorResponse("WrongPassword", (WrongPassword(),))
REGISTRATION_CLOSED: Final = ErrorResponse("RegistrationClosed", (errors.RegistrationClosed(),))
NOT_FOUND: Final = ErrorResponse("NotFound", (NotFound(),))
EVENTS_PURGED: Final = ErrorResponse(
    "EventsPurged",
    (EventsPurged(details={"after": ["Must be 4200 or more."]}, facts={"minimum": 4_200}),),
)
METHOD_NOT_ALLOWED: Final = ErrorResponse(
    "MethodNotAllowed", (errors.MethodNotSupported(),), (*RATE_LIMIT_HEADERS, "Allow")
)
URI_TOO_LONG: Final = ErrorResponse("UriTooLong", (errors.UriTooLong(),), ())
HEADERS_TOO_LARGE: Final = ErrorResponse("HeadersTooLarge", (errors.HeadersTooLarge(),), ())
REQUEST_TIMEOUT: Final = ErrorResponse("RequestTimeout", (errors.RequestTimeout(),), ())
CONFLICT: Final = ErrorResponse("Conflict", (IdempotencyKeyInUse(),))
CAPTURE_CONFLICT: Final = ErrorResponse(
    "CaptureConflict",
    (
        _build_state_conflict(PaymentNotCapturable, "SUCCESS"),
        AmountExceedsHeld(
            "The amount exceeds the hold; capture at most 5000.",
            details={"amount": ["Must be at most 5000."]},
            facts={"held": 5_000},
        ),
        IdempotencyKeyInUse(),
    ),
)
_PERIOD_CLOSED: Final = PeriodClosed(
    details={"effectiveAt": ["Must be after 2026-10-31, the last closed day."]},
    facts={"closedThrough": "2026-10-31"},
)
PERIOD_CONFLICT: Final = ErrorResponse(
    "PeriodConflict",
    (
        PeriodClosed(
            details={"endDate": ["Must be after 2026-10-31, the last closed day."]},
            facts={"closedThrough": "2026-10-31"},
        ),
        IdempotencyKeyInUse(),
    ),
)
EXTERNAL_ID_CONFLICT: Final = ErrorResponse(
    "ExternalIdConflict",
    (
        ExternalIdTaken(
            details={"externalId": ["Is that of 0199c0de-0000-7000-8000-000000000013."]},
            facts={"usedBy": "0199c0de-0000-7000-8000-000000000013"},
        ),
        _PERIOD_CLOSED,
        IdempotencyKeyInUse(),
    ),
)
ACCOUNT_CONFLICT: Final = ErrorResponse(
    "AccountConflict",
    (
        AccountExternalIdTaken(
            details={"externalId": ["Is that of 0199c0de-0000-7000-8000-000000000012."]},
            facts={"usedBy": "0199c0de-0000-7000-8000-000000000012"},
        ),
        IdempotencyKeyInUse(),
    ),
)
ACCOUNT_CHANGE_CONFLICT: Final = ErrorResponse(
    "AccountChangeConflict",
    (
        AccountNotEmpty(details={"balance": ["Is 5000, and must be 0."]}),
        IdempotencyKeyInUse(),
    ),
)
PAYEE_CONFLICT: Final = ErrorResponse(
    "PayeeConflict",
    (
        AccountFrozen(facts={"creditedAccountId": "0199c0de-0000-7000-8000-000000000002"}),
        AccountClosed(facts={"creditedAccountId": "0199c0de-0000-7000-8000-000000000002"}),
        IdempotencyKeyInUse(),
    ),
)
ALREADY_REVERSED: Final = ErrorResponse(
    "AlreadyReversed",
    (
        _build_state_conflict(TransactionNotPosted, "PENDING"),
        TransactionReversed(facts={"reversedById": "0199c0de-0000-7000-8000-000000000014"}),
        ReversalNotReversible(),
        ExternalIdTaken(
            details={"externalId": ["Is that of 0199c0de-0000-7000-8000-000000000013."]},
            facts={"usedBy": "0199c0de-0000-7000-8000-000000000013"},
        ),
        _PERIOD_CLOSED,
        IdempotencyKeyInUse(),
    ),
)
POST_PENDING_CONFLICT: Final = ErrorResponse(
    "PostPendingConflict",
    (
        _build_state_conflict(TransactionNotPending, "VOIDED"),
        AmountExceedsReserved(details={"amount": ["Must be at most 1500."]}),
        _PERIOD_CLOSED,
        IdempotencyKeyInUse(),
    ),
)
VOID_CONFLICT: Final = ErrorResponse(
    "VoidConflict",
    (_build_state_conflict(TransactionNotPending, "POSTED"), IdempotencyKeyInUse()),
)
TRANSACTION_REFUSED: Final = ErrorResponse(
    "TransactionRefused",
    (TransactionRefused(details={"entries.0": ["insufficient_balance"]}), IdempotencyKeyReused()),
)
CANCEL_CONFLICT: Final = ErrorResponse(
    "CancelConflict",
    (_build_state_conflict(PaymentNotCancelable, "SUCCESS"), IdempotencyKeyInUse()),
)
REFUND_CONFLICT: Final = ErrorResponse(
    "RefundConflict",
    (
        _build_state_conflict(PaymentNotRefundable, "FAILED"),
        RefundExceedsRemaining(
            "The amount exceeds what can still be refunded: 30 of 100 can still be refunded.",
            details={"amount": ["30 of 100 can still be refunded."]},
            facts={"remaining": 30, "captured": 100, "disputed": 0},
        ),
        TooManyRefunds(facts={"maximum": 100}),
        IdempotencyKeyInUse(),
    ),
)
DISPUTE_CONFLICT: Final = ErrorResponse(
    "DisputeConflict",
    (
        DisputeNotAnswerable(
            "Only a dispute that NEEDS_RESPONSE and has no pending response can be answered; this"
            " one is LOST.",
            details={"status": ["LOST"]},
        ),
        IdempotencyKeyInUse(),
    ),
)
EMAIL_CONFLICT: Final = ErrorResponse("EmailConflict", (EmailTaken(), IdempotencyKeyInUse()))
PASSWORD_CONFLICT: Final = ErrorResponse(
    "PasswordConflict", (PasswordChanged(), IdempotencyKeyInUse())
)
API_KEY_CONFLICT: Final = ErrorResponse(
    "ApiKeyConflict",
    (TooManyApiKeys(facts={"maximum": 100}), ApiKeyInactive(), IdempotencyKeyInUse()),
)
WEBHOOK_CONFLICT: Final = ErrorResponse(
    "WebhookConflict",
    (
        TooManyWebhookEndpoints(facts={"maximum": 20}),
        WebhookEndpointDisabled(),
        WebhookEndpointBuiltIn(),
        WebhooksUnavailable(),
        SigningSecretUnreadable(),
        IdempotencyKeyInUse(),
    ),
)
PAYLOAD_TOO_LARGE: Final = ErrorResponse("PayloadTooLarge", (errors.PayloadTooLarge(),))
UNSUPPORTED_MEDIA_TYPE: Final = ErrorResponse(
    "UnsupportedMediaType", (errors.UnsupportedMediaType(),)
)
KEY_REUSED: Final = ErrorResponse("IdempotencyKeyReused", (IdempotencyKeyReused(),))
TOO_MANY_REQUESTS: Final = ErrorResponse(
    "TooManyRequests",
    (
        RateLimited(
            facts={"limit": {"name": "payments", "quota": 10, "windowSeconds": 60, "reset": 42}}
        ),
        TooManyWaiting(),
        TooManyPings(),
    ),
    schema="RateLimitedResponse",
)
INTERNAL_ERROR: Final = ErrorResponse("InternalError", (errors.InternalError(),))
SERVICE_UNAVAILABLE: Final = ErrorResponse("ServiceUnavailable", (StorageUnavailable(),))
NOT_READY: Final = ErrorResponse("NotReady", (errors.NotReady(details={"postgres": ["down"]}),))

COMMON: Final = (BAD_REQUEST, REQUEST_TIMEOUT, URI_TOO_LONG, HEADERS_TOO_LARGE, INTERNAL_ERROR)
"""Possible on every route."""

ALL: Final = (
    # Without METHOD_NOT_ALLOWED: a documented operation never has it.
    BAD_REQUEST,
    BAD_PAYMENT,
    EVENT_REFUSED,
    UNAUTHORIZED,
    SESSION_UNAUTHORIZED,
    WRONG_CREDENTIALS,
    FORBIDDEN,
    MERCHANT_SUSPENDED,
    WRONG_PASSWORD,
    REGISTRATION_CLOSED,
    NOT_FOUND,
    EVENTS_PURGED,
    REQUEST_TIMEOUT,
    CONFLICT,
    EXTERNAL_ID_CONFLICT,
    ACCOUNT_CONFLICT,
    ACCOUNT_CHANGE_CONFLICT,
    PAYEE_CONFLICT,
    ALREADY_REVERSED,
    POST_PENDING_CONFLICT,
    PERIOD_CONFLICT,
    VOID_CONFLICT,
    CAPTURE_CONFLICT,
    CANCEL_CONFLICT,
    REFUND_CONFLICT,
    DISPUTE_CONFLICT,
    EMAIL_CONFLICT,
    PASSWORD_CONFLICT,
    API_KEY_CONFLICT,
    WEBHOOK_CONFLICT,
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
