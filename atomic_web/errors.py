"""The errors of the web layer, and the one table from an error's type to its HTTP status."""

from collections.abc import Mapping
from typing import Any, Final

from atomic_core.domain.errors import AtomicError, Forbidden, Unauthorized

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
    "events_purged": 410,
    "payload_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "transaction_refused": 422,
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
"""Not rate_limited, whose wait depends on its window."""


ERROR_PAGES: Final = "/api/v1/docs/errors"
"""Each error code has a page below this path."""


def build_error_object(error: AtomicError) -> dict[str, Any]:
    """The `error` of the envelope."""
    content: dict[str, Any] = {
        "code": error.code,
        "type": error.type,
        "message": error.message,
        "retryable": error.retryable,
        "docUrl": f"{ERROR_PAGES}/{error.code}",
    }
    if error.param is not None:
        content["param"] = error.param
    if error.details or error.facts:
        content["details"] = {**(error.details or {}), **(error.facts or {})}
    return content


class ApiKeyMissing(Unauthorized):
    """This route requires an API key; send it as `Authorization: Bearer sk_test_…`."""

    code = "api_key_missing"
    param = "Authorization"


class ApiKeyMalformed(Unauthorized):
    """The Authorization header must be `Bearer`, a space and one API key, without quotes."""

    code = "api_key_malformed"
    param = "Authorization"


class SessionTokenGiven(Unauthorized):
    """This route requires an API key (sk_test_…), not a session token (st_…)."""

    code = "session_token_given"
    param = "Authorization"


class SessionTokenMissing(Unauthorized):
    """This route requires a session token; log in, and send it as `Authorization: Bearer st_…`."""

    code = "session_token_missing"
    param = "Authorization"


class SessionTokenMalformed(Unauthorized):
    """The Authorization header must be `Bearer`, a space and one session token, without quotes."""

    code = "session_token_malformed"
    param = "Authorization"


class ApiKeyGiven(Unauthorized):
    """This route requires a session token (st_…) of a login, not an API key (sk_test_…)."""

    code = "api_key_given"
    param = "Authorization"


class ScopeMissing(Forbidden):
    """This API key lacks a scope; see details for the scopes that allow this request."""

    code = "scope_missing"


class OtherMerchantGiven(Forbidden):
    """The merchantId must be the merchant of this API key; leave it out."""

    param = "merchantId"


class RegistrationClosed(Forbidden):
    """Registration is closed; ask the operator of this service for an account."""

    code = "registration_closed"


class MalformedRequest(AtomicError):
    """The request must be well-formed HTTP with a well-formed body."""

    code = "malformed_request"


class MethodNotSupported(AtomicError):
    """This URL does not support the method; the Allow header lists those it supports."""

    code = "method_not_allowed"


class RequestTimeout(AtomicError):
    """The request did not arrive completely in time; send it again."""

    code = "request_timeout"
    retryable = True


class PayloadTooLarge(AtomicError):
    """The body is too large for this endpoint; send less in one request."""

    code = "payload_too_large"


class UriTooLong(AtomicError):
    """The URL is too long; shorten it."""

    code = "uri_too_long"


class HeadersTooLarge(AtomicError):
    """The headers are too many or too long; send fewer or shorter ones."""

    code = "headers_too_large"


class UnsupportedMediaType(AtomicError):
    """Send the body uncompressed, as application/json in UTF-8."""

    code = "unsupported_media_type"


class ServiceUnavailable(AtomicError):
    """The service cannot process the request now and has changed nothing; send it again."""

    code = "service_unavailable"
    retryable = True


class NotReady(AtomicError):
    """A dependency that the service requires is down, or a migration is pending; see details."""

    code = "not_ready"
    retryable = True


class InternalError(AtomicError):
    """An unexpected error; report the request id to the operator."""
