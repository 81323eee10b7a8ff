"""Merchants and keys in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.errors import NotFound
from atomic_core.domain.merchants import ApiKey, Merchant

_SQL: Final = statements("merchants")


@dataclass(frozen=True, slots=True)
class PostgresMerchants:
    session: Session

    def add(self, id: UUID, name: str) -> Merchant:
        return self.session.one_of(Merchant, _SQL["add_merchant"], id=id, name=name)

    def get(self, merchant_id: UUID) -> Merchant | None:
        return self.session.first_of(Merchant, _SQL["get_merchant"], id=merchant_id)

    def lock(self, merchant_id: UUID) -> None:
        if self.session.row(_SQL["lock_merchant"], id=merchant_id) is None:
            raise NotFound("There is no such merchant.")

    def add_key(
        self, id: UUID, merchant_id: UUID, name: str, prefix: str, hash: bytes
    ) -> ApiKey | None:
        return self.session.first_of(
            ApiKey,
            _SQL["add_key"],
            id=id,
            merchant_id=merchant_id,
            name=name,
            prefix=prefix,
            hash=hash,
        )

    def active_key(self, hash: bytes) -> ApiKey | None:
        return self.session.first_of(ApiKey, _SQL["active_key"], hash=hash)

    def is_active(self, key_id: UUID) -> bool:
        return self.session.row(_SQL["is_active"], id=key_id) is not None

    def keys(self, merchant_id: UUID) -> Sequence[ApiKey]:
        return self.session.all_of(ApiKey, _SQL["keys_of_merchant"], merchant_id=merchant_id)

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        return self.session.first_of(ApiKey, _SQL["revoke_key"], id=key_id)
