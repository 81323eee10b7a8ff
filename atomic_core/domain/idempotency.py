"""Idempotency keys: the first answer is the answer.

After draft-ietf-httpapi-idempotency-key-header, with the record and its effect in one commit.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from atomic_core.domain.errors import IdempotencyKeyReused


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer kept to be given again, byte for byte."""

    status: int
    body: bytes
    location: str | None = None


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
    keep_for: timedelta


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    method: str
    path: str
    fingerprint: bytes
    response: StoredResponse

    def replay_for(self, request: IdempotentRequest) -> StoredResponse:
        """The kept answer; raises IdempotencyKeyReused if this is another request."""
        mine = (self.method, self.path, self.fingerprint)
        if mine != (request.method, request.path, request.fingerprint):
            raise IdempotencyKeyReused
        return self.response
