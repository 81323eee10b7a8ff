"""The repository of merchants and their API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, ApiKey, Merchant


class MerchantRepository(Protocol):
    def add(self, id: UUID, name: str) -> Merchant: ...

    def get(self, merchant_id: UUID) -> Merchant | None: ...

    def lock(self, merchant_id: UUID) -> None:
        """Hold the merchant until the unit of work ends, so that what is done for it once is
        not done twice at the same time. Raises NotFound."""
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
        """Keep a key. None if a key with this hash exists already, whoever it belongs to."""
        ...

    def find_active_key(self, hash: bytes) -> ApiKey | None:
        """The key with this hash, if there is one and it is neither revoked nor expired."""
        ...

    def is_key_active(self, key_id: UUID) -> bool:
        """Whether the key exists and is neither revoked nor expired."""
        ...

    def list_keys(self, merchant_id: UUID, limit: int = MAX_LIVE_KEYS) -> Sequence[ApiKey]:
        """The newest active keys of the merchant and the newest of the others, up to `limit` of
        either; oldest first."""
        ...

    def count_active_keys(self, merchant_id: UUID) -> int: ...

    def get_key(self, key_id: UUID, merchant_id: UUID | None = None) -> ApiKey | None:
        """The key, if it exists and is the merchant's, where one is named."""
        ...

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        """Revoke now and for good. None unless that changed something: it is unknown, or was
        revoked before."""
        ...

    def expire_key(self, key_id: UUID, after: timedelta) -> None:
        """Let a key end `after` from now, or when it would have ended, if that is sooner."""
        ...

    def record_api_key_usage(self, key_ids: Sequence[UUID]) -> None:
        """Note that these keys were used just now. Waits for nobody: a key that is being changed
        is left out."""
        ...
