"""Exceptions: one class per error code of the API, under the class of its type.

`tests/unit/test_python_client.py` holds them equal to the catalogue of the API. A code that a later
version adds is raised as its type, or as ApiError.
"""

import json
from collections.abc import Mapping
from typing import Any, cast


class AtomicError(Exception):
    """Every error of this client."""


class TransportError(AtomicError):
    """No answer after all tries. A POST may have taken effect: repeat it with its
    Idempotency-Key."""


class ApiError(AtomicError):
    """The API refused a request."""

    def __init__(
        self, status: int, error: Mapping[str, Any], request_id: str, retry_after: float | None
    ) -> None:
        self.status = status
        self.code: str = error.get("code", "unknown")
        self.type: str = error.get("type", "unknown")
        self.message: str = error.get("message", f"The server answered {status}.")
        self.param: str | None = error.get("param")
        self.retryable: bool = error.get("retryable", status in (502, 503, 504))
        self.doc_url: str | None = error.get("docUrl")
        self.details: Mapping[str, Any] = error.get("details", {})
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds, if the server named them."""
        super().__init__(f"{self.code}: {self.message} (request {request_id})")


class ValidationFailed(ApiError):
    """Type `validation_failed`."""


class Unauthorized(ApiError):
    """Type `unauthorized`."""


class Forbidden(ApiError):
    """Type `forbidden`."""


class NotFound(ApiError):
    """Type `not_found`."""


class EventsPurged(ApiError):
    """Type `events_purged`."""


class Conflict(ApiError):
    """Type `conflict`."""


class TransactionRefused(ApiError):
    """Type `transaction_refused`."""


class IdempotencyKeyReused(ApiError):
    """Type `idempotency_key_reused`."""


class IdempotencyKeyInUse(ApiError):
    """Type `idempotency_key_in_use`."""


class RateLimited(ApiError):
    """Type `rate_limited`."""


class ServiceUnavailable(ApiError):
    """Type `service_unavailable`."""


class MalformedRequest(ApiError):
    """Type `malformed_request`."""


class MethodNotAllowed(ApiError):
    """Type `method_not_allowed`."""


class RequestTimeout(ApiError):
    """Type `request_timeout`."""


class PayloadTooLarge(ApiError):
    """Type `payload_too_large`."""


class UriTooLong(ApiError):
    """Type `uri_too_long`."""


class HeadersTooLarge(ApiError):
    """Type `headers_too_large`."""


class UnsupportedMediaType(ApiError):
    """Type `unsupported_media_type`."""


class NotReady(ApiError):
    """Type `not_ready`."""


class InternalError(ApiError):
    """Type `internal_error`."""


class UnknownTestToken(ValidationFailed):
    """Code `unknown_test_token`."""


class EventSignatureInvalid(ValidationFailed):
    """Code `event_signature_invalid`."""


class SessionInvalid(Unauthorized):
    """Code `session_invalid`."""


class WrongCredentials(Unauthorized):
    """Code `wrong_credentials`."""


class ApiKeyMissing(Unauthorized):
    """Code `api_key_missing`."""


class ApiKeyMalformed(Unauthorized):
    """Code `api_key_malformed`."""


class SessionTokenGiven(Unauthorized):
    """Code `session_token_given`."""


class SessionTokenMissing(Unauthorized):
    """Code `session_token_missing`."""


class SessionTokenMalformed(Unauthorized):
    """Code `session_token_malformed`."""


class ApiKeyGiven(Unauthorized):
    """Code `api_key_given`."""


class LoginSuspended(Forbidden):
    """Code `login_suspended`."""


class WrongPassword(Forbidden):
    """Code `wrong_password`."""


class ScopeMissing(Forbidden):
    """Code `scope_missing`."""


class RegistrationClosed(Forbidden):
    """Code `registration_closed`."""


class AccountFrozen(Conflict):
    """Code `account_frozen`."""


class AccountClosed(Conflict):
    """Code `account_closed`."""


class AccountNotEmpty(Conflict):
    """Code `account_not_empty`."""


class ExternalIdTaken(Conflict):
    """Code `external_id_taken`."""


class TransactionAlreadyReversed(Conflict):
    """Code `transaction_already_reversed`."""


class TransactionNotPending(Conflict):
    """Code `transaction_not_pending`."""


class TransactionNotPosted(Conflict):
    """Code `transaction_not_posted`."""


class AmountExceedsReserved(Conflict):
    """Code `amount_exceeds_reserved`."""


class PeriodClosed(Conflict):
    """Code `period_closed`."""


class ReversalNotReversible(Conflict):
    """Code `reversal_not_reversible`."""


class PaymentNotCapturable(Conflict):
    """Code `payment_not_capturable`."""


class PaymentNotCancelable(Conflict):
    """Code `payment_not_cancelable`."""


class PaymentNotRefundable(Conflict):
    """Code `payment_not_refundable`."""


class AmountExceedsHeld(Conflict):
    """Code `amount_exceeds_held`."""


class RefundExceedsRemaining(Conflict):
    """Code `refund_exceeds_remaining`."""


class TooManyRefunds(Conflict):
    """Code `too_many_refunds`."""


class DisputeNotAnswerable(Conflict):
    """Code `dispute_not_answerable`."""


class EmailTaken(Conflict):
    """Code `email_taken`."""


class PasswordChangeConflict(Conflict):
    """Code `password_change_conflict`."""


class TooManyApiKeys(Conflict):
    """Code `too_many_api_keys`."""


class ApiKeyInactive(Conflict):
    """Code `api_key_inactive`."""


class TooManyWebhookEndpoints(Conflict):
    """Code `too_many_webhook_endpoints`."""


class WebhookEndpointNotEnabled(Conflict):
    """Code `webhook_endpoint_not_enabled`."""


class WebhookEndpointBuiltIn(Conflict):
    """Code `webhook_endpoint_built_in`."""


class WebhooksUnavailable(Conflict):
    """Code `webhooks_unavailable`."""


class SigningSecretUnreadable(Conflict):
    """Code `signing_secret_unreadable`."""


class TooManyWaiting(RateLimited):
    """Code `too_many_waiting`."""


class TooManyTests(RateLimited):
    """Code `too_many_tests`."""


ERRORS: dict[str, type[ApiError]] = {
    "validation_failed": ValidationFailed,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "events_purged": EventsPurged,
    "conflict": Conflict,
    "transaction_refused": TransactionRefused,
    "idempotency_key_reused": IdempotencyKeyReused,
    "idempotency_key_in_use": IdempotencyKeyInUse,
    "rate_limited": RateLimited,
    "service_unavailable": ServiceUnavailable,
    "malformed_request": MalformedRequest,
    "method_not_allowed": MethodNotAllowed,
    "request_timeout": RequestTimeout,
    "payload_too_large": PayloadTooLarge,
    "uri_too_long": UriTooLong,
    "headers_too_large": HeadersTooLarge,
    "unsupported_media_type": UnsupportedMediaType,
    "not_ready": NotReady,
    "internal_error": InternalError,
    "unknown_test_token": UnknownTestToken,
    "event_signature_invalid": EventSignatureInvalid,
    "session_invalid": SessionInvalid,
    "wrong_credentials": WrongCredentials,
    "api_key_missing": ApiKeyMissing,
    "api_key_malformed": ApiKeyMalformed,
    "session_token_given": SessionTokenGiven,
    "session_token_missing": SessionTokenMissing,
    "session_token_malformed": SessionTokenMalformed,
    "api_key_given": ApiKeyGiven,
    "login_suspended": LoginSuspended,
    "wrong_password": WrongPassword,
    "scope_missing": ScopeMissing,
    "registration_closed": RegistrationClosed,
    "account_frozen": AccountFrozen,
    "account_closed": AccountClosed,
    "account_not_empty": AccountNotEmpty,
    "external_id_taken": ExternalIdTaken,
    "transaction_already_reversed": TransactionAlreadyReversed,
    "transaction_not_pending": TransactionNotPending,
    "transaction_not_posted": TransactionNotPosted,
    "amount_exceeds_reserved": AmountExceedsReserved,
    "period_closed": PeriodClosed,
    "reversal_not_reversible": ReversalNotReversible,
    "payment_not_capturable": PaymentNotCapturable,
    "payment_not_cancelable": PaymentNotCancelable,
    "payment_not_refundable": PaymentNotRefundable,
    "amount_exceeds_held": AmountExceedsHeld,
    "refund_exceeds_remaining": RefundExceedsRemaining,
    "too_many_refunds": TooManyRefunds,
    "dispute_not_answerable": DisputeNotAnswerable,
    "email_taken": EmailTaken,
    "password_change_conflict": PasswordChangeConflict,
    "too_many_api_keys": TooManyApiKeys,
    "api_key_inactive": ApiKeyInactive,
    "too_many_webhook_endpoints": TooManyWebhookEndpoints,
    "webhook_endpoint_not_enabled": WebhookEndpointNotEnabled,
    "webhook_endpoint_built_in": WebhookEndpointBuiltIn,
    "webhooks_unavailable": WebhooksUnavailable,
    "signing_secret_unreadable": SigningSecretUnreadable,
    "too_many_waiting": TooManyWaiting,
    "too_many_tests": TooManyTests,
}
"""By code, and by type for codes that this client does not know."""


def build_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception of an answer, also of one that a proxy made."""
    error: Mapping[str, Any] = {}
    try:
        document: Any = json.loads(body)
        error = cast(dict[str, Any], document)["error"]
    except (ValueError, KeyError, TypeError):
        # Not of the API: what is known is the status.
        error = {}
    kind = ERRORS.get(error.get("code", "")) or ERRORS.get(error.get("type", "")) or ApiError
    seconds = headers.get("retry-after", "")
    retry_after = float(seconds) if seconds.isascii() and seconds.isdecimal() else None
    return kind(status, error, headers.get("x-request-id", ""), retry_after)
