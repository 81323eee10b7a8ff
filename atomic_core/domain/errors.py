"""Every refusal the core can utter. Codes are stable; how they travel is the doors' business."""

from collections.abc import Mapping, Sequence

Details = Mapping[str, Sequence[str]]


class AtomicError(Exception):
    """Something went wrong that has no better name."""

    code = "internal_error"
    retryable = False
    """Whether the same request, sent again later, may succeed."""

    def __init__(self, message: str | None = None, details: Details | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = details
        super().__init__(self.message)


class ValidationFailed(AtomicError):
    """The request is well formed but not acceptable."""

    code = "validation_failed"


class Unauthorized(AtomicError):
    """A valid API key is required."""

    code = "unauthorized"


class Forbidden(AtomicError):
    """This API key may not do that."""

    code = "forbidden"


class NotFound(AtomicError):
    """There is no such thing here."""

    code = "not_found"


class Conflict(AtomicError):
    """The present state does not allow that."""

    code = "conflict"


class IdempotencyKeyReused(AtomicError):
    """This Idempotency-Key was first used for another request."""

    code = "idempotency_key_reused"


class IdempotencyKeyInUse(AtomicError):
    """The first request with this Idempotency-Key has not finished yet."""

    code = "idempotency_key_in_use"
    retryable = True


class RateLimited(AtomicError):
    """Too many requests; wait for the window to end."""

    code = "rate_limited"
    retryable = True


class StorageUnavailable(AtomicError):
    """The database cannot be reached or is too busy; nothing is known to have changed."""

    code = "service_unavailable"
    retryable = True


class SchemaOutdated(StorageUnavailable):
    """The database schema is not up to date."""


class HasherBusy(AtomicError):
    """Too many passwords are being checked at this moment; nothing has changed."""

    code = "service_unavailable"
    retryable = True


class StorageRefused(AtomicError):
    """The database refused a write that the core should never have sent. A bug, not weather."""


class NetworkFault(AtomicError):
    """The card network did not answer in time; asking again is safe."""

    code = "processing_error"
    retryable = True
