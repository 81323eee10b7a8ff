"""The errors of the core. Codes are stable. The docstring of an error is its default message."""

from collections.abc import Mapping, Sequence

Details = Mapping[str, Sequence[str]]


class AtomicError(Exception):
    """An unexpected error."""

    code = "internal_error"
    retryable = False
    """Whether the same request can succeed later."""

    def __init__(self, message: str | None = None, details: Details | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = details
        super().__init__(self.message)


class ValidationFailed(AtomicError):
    """The request failed validation; see details."""

    code = "validation_failed"


class Unauthorized(AtomicError):
    """A valid API key is required."""

    code = "unauthorized"


class Forbidden(AtomicError):
    """This API key does not permit this request."""

    code = "forbidden"


class MerchantSuspended(Forbidden):
    """This merchant is suspended; ask the operator of this service."""


class WrongPassword(Forbidden):
    """The current password is wrong."""


class NotFound(AtomicError):
    """No resource matches this URL."""

    code = "not_found"


class EventsPurged(AtomicError):
    """Events after this sequence number are no longer kept; see details for where to begin."""

    code = "events_purged"


class Conflict(AtomicError):
    """The current state of the resource does not allow this request."""

    code = "conflict"


class TransactionRefused(AtomicError):
    """The balances of the accounts do not allow this ledger transaction; nothing was posted."""

    code = "transaction_refused"


class IdempotencyKeyReused(AtomicError):
    """This Idempotency-Key was first used with a different request."""

    code = "idempotency_key_reused"


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


class TooManyPings(RateLimited):
    """Too many tests of this merchant's webhook endpoints are in progress; let one end."""


class WaitingPlacesTaken(AtomicError):
    """Too many requests wait for events; send this one again, or send wait=0."""

    code = "service_unavailable"
    retryable = True


class StorageUnavailable(AtomicError):
    """The database is unreachable or overloaded; the request may or may not have been processed."""

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
