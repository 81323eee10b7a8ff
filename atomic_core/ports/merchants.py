"""The repository of merchants and their API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, ApiKey, Merchant


class MerchantRepository(Protocol):
    def add(self, id: UUID, name: str) -> Merchant: ...

    def get(self, merchant_id: UUID) -> Merchant | None: ...

    def suspend(self, merchant_id: UUID) -> bool:
        """Suspend the merchant: from the commit on, none of its keys and sessions is found. False
        if it is suspended already."""
        ...

    def resume(self, merchant_id: UUID) -> bool:
        """End the suspension. False if the merchant is not suspended."""
        ...

    def set_network(self, merchant_id: UUID, network: str | None) -> bool:
        """Set the card network of payments that are accepted from the commit on; None: the
        deployment's. False if it is set already, or there is no such merchant."""
        ...

    def lock(self, merchant_id: UUID) -> None:
        """Lock the merchant until the unit of work ends, to serialize changes. Raises NotFound."""
        ...

    def add_key(
        self,
        id: UUID,
        merchant_id: UUID,
        name: str,
        prefix: str,
        hash: bytes,
        scopes: frozenset[str] = ALL_SCOPES,
        expires_at: datetime | None = None,
    ) -> ApiKey | None:
        """Store a key. None if a key with this hash exists, of any merchant."""
        ...

    def find_active_key(self, hash: bytes) -> ApiKey | None:
        """The key with this hash, if it is neither revoked nor expired and its merchant is not
        suspended."""
        ...

    def is_key_active(self, key_id: UUID) -> bool:
        """Whether the key exists, is neither revoked nor expired, and its merchant is not
        suspended."""
        ...

    def list_keys(self, merchant_id: UUID, limit: int = MAX_LIVE_KEYS) -> Sequence[ApiKey]:
        """The merchant's newest active keys and newest inactive ones, up to `limit` of each; oldest
        first."""
        ...

    def count_active_keys(self, merchant_id: UUID) -> int: ...

    def get_key(self, key_id: UUID, merchant_id: UUID | None = None) -> ApiKey | None:
        """The key. With a `merchant_id`, None unless it is that merchant's."""
        ...

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        """Revoke the key for good. None if it is unknown or was revoked before."""
        ...

    def revoke_adopted_keys(self, merchant_id: UUID, name: str, keep: bytes) -> Sequence[ApiKey]:
        """Revoke the merchant's keys of this name of which only the hash is known, except for the
        one with the hash `keep`; return them."""
        ...

    def expire_key(self, key_id: UUID, after: timedelta) -> None:
        """Make the key expire `after` from now, unless it expires sooner."""
        ...

    def record_api_key_usage(self, key_ids: Sequence[UUID]) -> None:
        """Record that these keys were used just now. Skips keys that another unit of work has
        locked."""
        ...
