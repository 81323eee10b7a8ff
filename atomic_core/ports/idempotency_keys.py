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
        """Claim the key, or return the stored response of its first request.

        Waits for a concurrent first request, within the store's lock time-out. An expired key can
        be claimed again. Raises IdempotencyKeyReused if the key belongs to a different request,
        and IdempotencyKeyInUse on time-out.
        """
        ...

    def claim_keys(self, requests: Sequence[IdempotentRequest]) -> frozenset[str]:
        """Claim the unused ones among the keys of requests of one merchant, which must differ, and
        return them. Claimed in one order, the store's. Waits like `claim_key`, and raises
        IdempotencyKeyInUse on time-out."""
        ...

    def store_responses(
        self, responses: Sequence[tuple[IdempotentRequest, StoredResponse]]
    ) -> None:
        """`store_response` for several keys."""
        ...

    def release_keys(self, merchant_id: UUID, keys: Sequence[str]) -> None:
        """Make keys unused again that this unit of work has claimed."""
        ...

    def lock_keys(self, merchant_id: UUID, keys: Sequence[str]) -> None:
        """Lock the merchant's unused ones among the keys until the unit of work ends.

        For a request with several keys: all are locked in one order, the store's, so that such
        requests cannot deadlock. Must come before the first use of any key and before the lock of
        the merchant. The unit of work must then use every key it locked, or not commit. Waits like
        `claim_key`. Raises IdempotencyKeyInUse on time-out.
        """
        ...

    def find_records(
        self, merchant_id: UUID, keys: Sequence[str]
    ) -> Mapping[str, IdempotencyRecord]:
        """The records of the used ones among the keys, by key. Locks nothing."""
        ...

    def find_key(self, merchant_id: UUID, key: str) -> StoredIdempotencyKey | None:
        """The key with its record. None if it is unused or has expired."""
        ...

    def store_response(self, request: IdempotentRequest, response: StoredResponse) -> None:
        """Store the response of a key that this unit of work has claimed."""
        ...

    def purge_keys(self, limit: int) -> int:
        """Delete up to `limit` expired keys and return their number."""
        ...
