"""The errors of the web layer, and the one table from error code to HTTP status."""

from collections.abc import Mapping
from typing import Final

from atomic_core.domain.errors import AtomicError

STATUS: Final[Mapping[str, int]] = {
    "malformed_request": 400,
    "validation_failed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "idempotency_key_in_use": 409,
    "payload_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal_error": 500,
    "not_ready": 503,
    "service_unavailable": 503,
}

RETRY_AFTER_SECONDS: Final[Mapping[str, int]] = {
    "idempotency_key_in_use": 1,
    "not_ready": 1,
    "service_unavailable": 1,
}
"""rate_limited is not here: how long to wait is in its window."""


class MalformedRequest(AtomicError):
    """The request could not be understood."""

    code = "malformed_request"


class UnknownMethod(AtomicError):
    """This address does not answer to that method."""

    code = "method_not_allowed"


class RequestTimeout(AtomicError):
    """The request did not arrive in time."""

    code = "request_timeout"
    retryable = True


class PayloadTooLarge(AtomicError):
    """The body is larger than this API accepts."""

    code = "payload_too_large"


class UriTooLong(AtomicError):
    """The address is longer than this API accepts."""

    code = "uri_too_long"


class HeadersTooLarge(AtomicError):
    """The headers are more, or longer, than this API accepts."""

    code = "headers_too_large"


class UnsupportedMediaType(AtomicError):
    """Send the body as application/json in UTF-8, not compressed."""

    code = "unsupported_media_type"


class ServiceUnavailable(AtomicError):
    """The service cannot take this request right now; nothing has changed."""

    code = "service_unavailable"
    retryable = True


class NotReady(AtomicError):
    """Something this service cannot work without is down."""

    code = "not_ready"
    retryable = True


class InternalError(AtomicError):
    """Something went wrong on our side."""
