"""Merchants and keys in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from atomic_adapters.memory.table import Session
from atomic_core.domain.errors import NotFound, StorageRefused
from atomic_core.domain.merchants import ApiKey, Merchant


@dataclass(frozen=True, slots=True)
class MemoryMerchants:
    session: Session

    def add(self, id: UUID, name: str) -> Merchant:
        tables = self.session.tables
        if id in tables.merchants.rows:
            raise StorageRefused("merchants_pkey")
        merchant = Merchant(id, name, tables.clock.now())
        tables.merchants.put(id, merchant)
        return merchant

    def get(self, merchant_id: UUID) -> Merchant | None:
        return self.session.tables.merchants.rows.get(merchant_id)

    def lock(self, merchant_id: UUID) -> None:
        if self.get(merchant_id) is None:
            raise NotFound("There is no such merchant.")

    def add_key(
        self, id: UUID, merchant_id: UUID, name: str, prefix: str, hash: bytes
    ) -> ApiKey | None:
        tables = self.session.tables
        if hash in tables.keys.rows:
            return None
        key = ApiKey(id, merchant_id, name, prefix, hash, tables.clock.now(), None)
        tables.keys.put(hash, key)
        return key

    def active_key(self, hash: bytes) -> ApiKey | None:
        key = self.session.tables.keys.rows.get(hash)
        return key if key and key.active else None

    def is_active(self, key_id: UUID) -> bool:
        keys = self.session.tables.keys.rows.values()
        return any(key.id == key_id and key.active for key in keys)

    def keys(self, merchant_id: UUID) -> Sequence[ApiKey]:
        keys = self.session.tables.keys.rows.values()
        mine = (key for key in keys if key.merchant_id == merchant_id)
        return sorted(mine, key=lambda key: (key.created_at, key.id))

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        tables = self.session.tables
        for hash, key in tables.keys.rows.items():
            if key.id == key_id:
                revoked = replace(key, revoked_at=key.revoked_at or tables.clock.now())
                tables.keys.put(hash, revoked)
                return revoked
        return None
