"""The repository of idempotency keys."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.idempotency import (
    IdempotencyRecord,
    IdempotentRequest,
    StoredIdempotencyKey,
    StoredResponse,
)


class IdempotencyRepository(Protocol):
    def claim_key(self, request: IdempotentRequest) -> StoredResponse | None:
        """Take the key, or return the answer its first use got.

        Waits for a concurrent first use to end, within the store's lock time-out. An expired
        key is new again. Raises IdempotencyKeyReused if the key belongs to another request,
        IdempotencyKeyInUse if waiting took too long.
        """
        ...

    def find_records(
        self, merchant_id: UUID, keys: Sequence[str]
    ) -> Mapping[str, IdempotencyRecord]:
        """The records of those keys that are taken, by key. Locks and takes none."""
        ...

    def find_key(self, merchant_id: UUID, key: str) -> StoredIdempotencyKey | None:
        """What became of a key. None if it is unused, or has expired."""
        ...

    def store_response(self, request: IdempotentRequest, response: StoredResponse) -> None:
        """Keep the answer of a key claimed in this unit of work."""
        ...

    def purge_keys(self, limit: int) -> int:
        """Delete up to `limit` expired keys; return how many."""
        ...
