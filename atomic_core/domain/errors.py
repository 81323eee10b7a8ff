"""The errors of the core. Codes are stable, one for each cause. The docstring of an error is its
default message."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

Details = Mapping[str, Sequence[str]]

Facts = Mapping[str, object]


class AtomicError(Exception):
    """An unexpected error."""

    code = "internal_error"
    type: ClassVar[str] = "internal_error"
    """The code of the class directly below AtomicError. Errors of one type have one HTTP status."""
    retryable = False
    """Whether the same request can succeed later."""
    param: str | None = None
    """The field, parameter or header that the caller must change."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if AtomicError in cls.__bases__:
            cls.type = cls.code

    def __init__(
        self,
        message: str | None = None,
        details: Details | None = None,
        facts: Facts | None = None,
    ) -> None:
        """`details` has messages by field; `facts` has values for programs, such as amounts."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = details
        self.facts = facts
        super().__init__(self.message)


class ValidationFailed(AtomicError):
    """The request failed validation; see details."""

    code = "validation_failed"

    def __init__(self, message: str | None = None, details: Details | None = None) -> None:
        super().__init__(message or (_describe_first_fault(details) if details else None), details)
        if details:
            self.param = next(iter(details))


def _describe_first_fault(details: Details) -> str:
    [(name, [problem, *_]), *others] = details.items()
    first = problem if problem.startswith(f"{name} ") else f"{name}: {problem}"
    return f"{first} See details for {len(others)} more." if others else first


class UnknownTestToken(ValidationFailed):
    """The source is almost a test token of the sandbox; see details for the one that is meant."""

    code = "unknown_test_token"


class EventSignatureInvalid(ValidationFailed):
    """The card network must have signed the body within the last five minutes."""

    code = "event_signature_invalid"
    param = "Stripe-Signature"


class Unauthorized(AtomicError):
    """This API key is unknown, expired or revoked; use an active one."""

    code = "unauthorized"


class SessionInvalid(Unauthorized):
    """This session token is unknown, expired or revoked; log in again."""

    code = "session_invalid"


class WrongCredentials(Unauthorized):
    """The email or the password is wrong."""

    code = "wrong_credentials"


class Forbidden(AtomicError):
    """This API key does not permit this request."""

    code = "forbidden"


class MerchantSuspended(Forbidden):
    """This merchant is suspended; ask the operator of this service."""

    code = "login_suspended"


class WrongPassword(Forbidden):
    """The current password is wrong."""

    code = "wrong_password"
    param = "currentPassword"


class NotFound(AtomicError):
    """No resource matches this URL."""

    code = "not_found"


class EventsPurged(AtomicError):
    """Events after this sequence number are no longer kept; see details for where to begin."""

    code = "events_purged"
    param = "after"


class Conflict(AtomicError):
    """The current state of the resource does not allow this request."""

    code = "conflict"


class TransactionRefused(AtomicError):
    """An account refused its entry, for the reason in details; nothing was posted."""

    code = "transaction_refused"


class ExternalIdTaken(Conflict):
    """Another ledger transaction has this externalId, as details.usedBy; use another one."""

    code = "external_id_taken"
    param = "externalId"


class AccountExternalIdTaken(Conflict):
    """Another account has this externalId, as details.usedBy; use another one."""

    code = "external_id_taken"
    param = "externalId"


class AccountFrozen(Conflict):
    """The account that payments credit is frozen; reopen it first."""

    code = "account_frozen"


class AccountClosed(Conflict):
    """The account that payments credit is closed; reopen it, or open another liability account."""

    code = "account_closed"


class AccountNotEmpty(Conflict):
    """Only an account with a balance of 0 and nothing pending can be closed."""

    code = "account_not_empty"


class TransactionReversed(Conflict):
    """This ledger transaction is reversed already, by details.reversedById."""

    code = "transaction_already_reversed"


class TransactionNotPending(Conflict):
    """Only a ledger transaction that is PENDING can be posted or voided."""

    code = "transaction_not_pending"


class TransactionNotPosted(Conflict):
    """Only a ledger transaction that is POSTED can be reversed; void one that is PENDING."""

    code = "transaction_not_posted"


class PeriodClosed(Conflict):
    """This day is in a closed period, which details.closedThrough ends; use a later one."""

    code = "period_closed"


class AmountExceedsReserved(Conflict):
    """An amount exceeds what the ledger transaction reserves; see details."""

    code = "amount_exceeds_reserved"


class ReversalNotReversible(Conflict):
    """A reversal cannot be reversed; post a new transaction instead."""

    code = "reversal_not_reversible"


class PaymentNotCapturable(Conflict):
    """Only a payment that is AUTHORIZED can be captured."""

    code = "payment_not_capturable"


class PaymentNotCancelable(Conflict):
    """Only a payment that is AUTHORIZED or REQUIRES_ACTION can be canceled."""

    code = "payment_not_cancelable"


class PaymentNotRefundable(Conflict):
    """Only a payment that is a SUCCESS can be refunded."""

    code = "payment_not_refundable"


class AmountExceedsHeld(Conflict):
    """The amount exceeds the hold; capture at most details.held."""

    code = "amount_exceeds_held"
    param = "amount"


class RefundExceedsRemaining(Conflict):
    """The amount exceeds what can still be refunded; refund at most details.remaining."""

    code = "refund_exceeds_remaining"
    param = "amount"


class TooManyRefunds(Conflict):
    """This payment has as many refunds as a payment can have; see details.maximum."""

    code = "too_many_refunds"


class DisputeNotAnswerable(Conflict):
    """Only a dispute that NEEDS_RESPONSE and has no pending response can be answered."""

    code = "dispute_not_answerable"


class EmailTaken(Conflict):
    """A merchant with this email already exists; log in, or register another email."""

    code = "email_taken"
    param = "email"


class PasswordChanged(Conflict):
    """The password was changed by another request at the same time; log in again."""

    code = "password_change_conflict"


class TooManyApiKeys(Conflict):
    """This merchant has as many active API keys as it can have; revoke one first."""

    code = "too_many_api_keys"


class ApiKeyInactive(Conflict):
    """This API key is no longer active; create a new one."""

    code = "api_key_inactive"


class TooManyWebhookEndpoints(Conflict):
    """This merchant has as many webhook endpoints as it can have; delete one first."""

    code = "too_many_webhook_endpoints"


class WebhookEndpointDisabled(Conflict):
    """The webhook endpoint is disabled; enable it first."""

    code = "webhook_endpoint_not_enabled"


class WebhookEndpointBuiltIn(Conflict):
    """The endpoint of payments with a webhookUrl of their own has no URL."""

    code = "webhook_endpoint_built_in"


class WebhooksUnavailable(Conflict):
    """Webhooks are switched off in this installation."""

    code = "webhooks_unavailable"


class SigningSecretUnreadable(Conflict):
    """The signing secret cannot be decrypted; replace it by rotate-secret."""

    code = "signing_secret_unreadable"


class IdempotencyKeyReused(AtomicError):
    """This Idempotency-Key was first used with a different request."""

    code = "idempotency_key_reused"
    param = "Idempotency-Key"


class IdempotencyKeyInUse(AtomicError):
    """The first request with this Idempotency-Key is still in progress."""

    code = "idempotency_key_in_use"
    retryable = True


class RateLimited(AtomicError):
    """Too many requests; retry after the rate limit resets."""

    code = "rate_limited"
    retryable = True


class TooManyWaiting(RateLimited):
    """Too many requests of this merchant wait for events; let some end, or send wait=0."""

    code = "too_many_waiting"


class TooManyPings(RateLimited):
    """Too many tests of this merchant's webhook endpoints are in progress; let one end."""

    code = "too_many_tests"


class WaitingPlacesTaken(AtomicError):
    """Too many requests wait for events; send this one again, or send wait=0."""

    code = "service_unavailable"
    retryable = True


class StorageUnavailable(AtomicError):
    """The database is unreachable or overloaded; the request may or may not have been processed."""

    code = "service_unavailable"
    retryable = True


class NetworkUnavailable(AtomicError):
    """The card network's statement cannot be read at present; nothing has changed."""

    code = "service_unavailable"
    retryable = True


class SchemaOutdated(StorageUnavailable):
    """The database schema is not up to date."""


class HasherBusy(AtomicError):
    """Too many password checks are in progress; nothing has changed."""

    code = "service_unavailable"
    retryable = True


class StorageRefused(AtomicError):
    """The database rejected a write that breaks a rule. This is a bug."""
