"""Idempotency keys: a repeated request gets the response of the first one.

Follows draft-ietf-httpapi-idempotency-key-header. The key's record and the effect of its request
are written in one commit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import IdempotencyKeyReused
from atomic_core.domain.timestamps import format_rfc3339

COMMIT_TIME_PLACEHOLDER: Final = b"\0"
"""Stands in a response body for the time of the commit, which only the database knows. A NUL cannot
occur in JSON, and no accepted text contains one."""

ACCOUNT_ID_PLACEHOLDER: Final = b"\x01"
"""Stands in the response to a payment for the id of its account, which is found as the payment is
inserted. No other control character can occur in JSON either."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response that is stored and replayed byte for byte. The stored body can contain
    COMMIT_TIME_PLACEHOLDER."""

    status: int
    body: bytes
    location: str | None = None

    def with_commit_time(self, moment: datetime) -> "StoredResponse":
        """The response with the time in place of COMMIT_TIME_PLACEHOLDER."""
        if COMMIT_TIME_PLACEHOLDER not in self.body:
            return self
        body = self.body.replace(COMMIT_TIME_PLACEHOLDER, format_rfc3339(moment).encode())
        return StoredResponse(self.status, body, self.location)

    def with_account_id(self, id: UUID) -> "StoredResponse":
        """The response with the id in place of ACCOUNT_ID_PLACEHOLDER."""
        body = self.body.replace(ACCOUNT_ID_PLACEHOLDER, str(id).encode())
        return StoredResponse(self.status, body, self.location)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that takes effect once, however often it is repeated.

    A key belongs to its merchant. During `retention` it can be used only with the same method, path
    and content.
    """

    merchant_id: UUID
    key: str
    method: str
    path: str
    fingerprint: bytes
    """SHA-256 of the canonical request."""
    retention: timedelta


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    method: str
    path: str
    fingerprint: bytes
    response: StoredResponse
    created_at: datetime
    """The time of the commit, by the database's clock."""

    def replay_for(self, request: IdempotentRequest) -> StoredResponse:
        """The stored response. Raises IdempotencyKeyReused if this is a different request."""
        first_request = (self.method, self.path, self.fingerprint)
        if first_request != (request.method, request.path, request.fingerprint):
            raise IdempotencyKeyReused
        return self.response.with_commit_time(self.created_at)


@dataclass(frozen=True, slots=True)
class StoredIdempotencyKey:
    """A used Idempotency-Key. Times come from the database's clock."""

    key: str
    record: IdempotencyRecord
    expires_at: datetime
