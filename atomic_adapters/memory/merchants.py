"""Merchants and API keys in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.errors import NotFound, StorageRefused
from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, ApiKey, Merchant


@dataclass(frozen=True, slots=True)
class MemoryMerchantRepository:
    session: MemorySession

    def add(self, id: UUID, name: str) -> Merchant:
        tables = self.session.tables
        if id in tables.merchants.rows:
            raise StorageRefused("merchants_pkey")
        merchant = Merchant(id, name, tables.clock.now())
        tables.merchants.put(id, merchant)
        return merchant

    def get(self, merchant_id: UUID) -> Merchant | None:
        return self.session.tables.merchants.rows.get(merchant_id)

    def suspend(self, merchant_id: UUID) -> bool:
        return self._set_suspension(merchant_id, self.session.tables.clock.now())

    def resume(self, merchant_id: UUID) -> bool:
        return self._set_suspension(merchant_id, None)

    def _set_suspension(self, merchant_id: UUID, suspended_at: datetime | None) -> bool:
        merchant = self.get(merchant_id)
        if merchant is None or (merchant.suspended_at is None) == (suspended_at is None):
            return False
        changed = replace(merchant, suspended_at=suspended_at)
        self.session.tables.merchants.put(merchant_id, changed)
        return True

    def set_network(self, merchant_id: UUID, network: str | None) -> bool:
        merchant = self.get(merchant_id)
        if merchant is None or merchant.network == network:
            return False
        self.session.tables.merchants.put(merchant_id, replace(merchant, network=network))
        return True

    def lock(self, merchant_id: UUID) -> None:
        if self.get(merchant_id) is None:
            raise NotFound("No merchant has this id.")

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
        tables = self.session.tables
        if hash in tables.keys.rows:
            return None
        if not scopes or not scopes <= ALL_SCOPES:
            raise StorageRefused("api_keys_known_scopes")
        now = tables.clock.now()
        key = ApiKey(
            id, merchant_id, name, prefix, hash, scopes, now, expires_at, None, None, active=True
        )
        tables.keys.put(hash, key)
        return self._with_activity(key)

    def find_active_key(self, hash: bytes) -> ApiKey | None:
        key = self.session.tables.keys.rows.get(hash)
        key = key and self._with_activity(key)
        return key if key and self._is_usable(key) else None

    def is_key_active(self, key_id: UUID) -> bool:
        key = self.get_key(key_id)
        return key is not None and self._is_usable(key)

    def get_key(self, key_id: UUID, merchant_id: UUID | None = None) -> ApiKey | None:
        for key in self.session.tables.keys.rows.values():
            if key.id == key_id and merchant_id in (None, key.merchant_id):
                return self._with_activity(key)
        return None

    def list_keys(self, merchant_id: UUID, limit: int = MAX_LIVE_KEYS) -> Sequence[ApiKey]:
        own = self._list_keys(merchant_id)
        active = [key for key in own if key.active]
        others = [key for key in own if not key.active]
        listed = active[-limit:] + others[-limit:]
        return sorted(listed, key=lambda key: (key.created_at, key.id))

    def count_active_keys(self, merchant_id: UUID) -> int:
        return sum(key.active for key in self._list_keys(merchant_id))

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        key = self.get_key(key_id)
        if key is None or key.revoked_at is not None:
            return None
        return self._put_key(replace(key, revoked_at=self.session.tables.clock.now()))

    def revoke_adopted_keys(self, merchant_id: UUID, name: str, keep: bytes) -> Sequence[ApiKey]:
        revoked = [
            self.revoke_key(key.id)
            for key in self._list_keys(merchant_id)
            if (key.prefix, key.name) == ("", name) and key.hash != keep
        ]
        return [key for key in revoked if key is not None]

    def expire_key(self, key_id: UUID, after: timedelta) -> None:
        key = self.get_key(key_id)
        if key is not None:
            end = self.session.tables.clock.now() + after
            self._put_key(replace(key, expires_at=min(end, key.expires_at or end)))

    def record_api_key_usage(self, key_ids: Sequence[UUID]) -> None:
        for key_id in key_ids:
            key = self.get_key(key_id)
            if key is not None and key.active:
                self._put_key(replace(key, last_used_at=self.session.tables.clock.now()))

    def _is_usable(self, key: ApiKey) -> bool:
        """Whether the key is active and its merchant is not suspended."""
        merchant = self.get(key.merchant_id)
        return key.active and (merchant is None or merchant.suspended_at is None)

    def _list_keys(self, merchant_id: UUID) -> list[ApiKey]:
        keys = self.session.tables.keys.rows.values()
        own = (self._with_activity(key) for key in keys if key.merchant_id == merchant_id)
        return sorted(own, key=lambda key: (key.created_at, key.id))

    def _put_key(self, key: ApiKey) -> ApiKey:
        self.session.tables.keys.put(key.hash, key)
        return self._with_activity(key)

    def _with_activity(self, key: ApiKey) -> ApiKey:
        """The key with `active` as of now."""
        now = self.session.tables.clock.now()
        is_expired = key.expires_at is not None and key.expires_at <= now
        return replace(key, active=key.revoked_at is None and not is_expired)
