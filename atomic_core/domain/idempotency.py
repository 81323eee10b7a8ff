"""Idempotency keys: the first answer is the answer.

After draft-ietf-httpapi-idempotency-key-header, with the record and its effect in one commit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import IdempotencyKeyReused
from atomic_core.domain.timestamps import format_rfc3339

COMMIT_TIME_PLACEHOLDER: Final = b"\0"
"""Stands in a body where the store's time belongs, for only the store knows the moment of a
commit. A raw NUL is no part of any JSON, and we take no text that holds one."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer kept to be given again, byte for byte. Until it is given, its body may hold
    COMMIT_TIME_PLACEHOLDER."""

    status: int
    body: bytes
    location: str | None = None

    def with_commit_time(self, moment: datetime) -> "StoredResponse":
        """The answer with the moment it was first given filled in."""
        if COMMIT_TIME_PLACEHOLDER not in self.body:
            return self
        body = self.body.replace(COMMIT_TIME_PLACEHOLDER, format_rfc3339(moment).encode())
        return StoredResponse(self.status, body, self.location)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that must have its effect once, however often it arrives.

    A key belongs to its merchant, and for as long as it is kept to the request it was first
    used with: the same method, path and content.
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
    """When the key was taken, by the store's clock: the moment of its effect too."""

    def replay_for(self, request: IdempotentRequest) -> StoredResponse:
        """The kept answer; raises IdempotencyKeyReused if this is another request."""
        mine = (self.method, self.path, self.fingerprint)
        if mine != (request.method, request.path, request.fingerprint):
            raise IdempotencyKeyReused
        return self.response.with_commit_time(self.created_at)


@dataclass(frozen=True, slots=True)
class StoredIdempotencyKey:
    """What became of an Idempotency-Key. It is kept until `expires_at`, by the store's clock."""

    key: str
    record: IdempotencyRecord
    expires_at: datetime
