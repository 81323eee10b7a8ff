"""Merchants and API keys in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import NotFound
from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, ApiKey, Merchant, sort_scopes

_SQL: Final = load_statements("merchants")


@dataclass(frozen=True, slots=True)
class PostgresMerchantRepository:
    session: DatabaseSession

    def add(self, id: UUID, name: str) -> Merchant:
        return self.session.fetch_one_as(Merchant, _SQL["insert_merchant"], id=id, name=name)

    def get(self, merchant_id: UUID) -> Merchant | None:
        return self.session.fetch_optional_as(Merchant, _SQL["get_merchant"], id=merchant_id)

    def suspend(self, merchant_id: UUID) -> bool:
        return self.session.execute(_SQL["suspend_merchant"], id=merchant_id) == 1

    def resume(self, merchant_id: UUID) -> bool:
        return self.session.execute(_SQL["resume_merchant"], id=merchant_id) == 1

    def set_network(self, merchant_id: UUID, network: str | None) -> bool:
        statement = _SQL["set_merchant_network"]
        return self.session.execute(statement, id=merchant_id, network=network) == 1

    def lock(self, merchant_id: UUID) -> None:
        if self.session.fetch_optional(_SQL["lock_merchant"], id=merchant_id) is None:
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
        return self._fetch_key(
            _SQL["insert_key"],
            id=id,
            merchant_id=merchant_id,
            name=name,
            prefix=prefix,
            hash=hash,
            scopes=sort_scopes(scopes),
            expires_at=expires_at,
        )

    def find_active_key(self, hash: bytes) -> ApiKey | None:
        return self._fetch_key(_SQL["find_active_key"], hash=hash)

    def is_key_active(self, key_id: UUID) -> bool:
        return self.session.fetch_optional(_SQL["is_key_active"], id=key_id) is not None

    def get_key(self, key_id: UUID, merchant_id: UUID | None = None) -> ApiKey | None:
        return self._fetch_key(_SQL["get_key"], id=key_id, merchant_id=merchant_id)

    def list_keys(self, merchant_id: UUID, limit: int = MAX_LIVE_KEYS) -> Sequence[ApiKey]:
        statement = _SQL["list_keys"]
        rows = self.session.fetch_all(statement, merchant_id=merchant_id, limit=limit)
        return [_build_key(row) for row in rows]

    def count_active_keys(self, merchant_id: UUID) -> int:
        return self.session.fetch_one(_SQL["count_active_keys"], merchant_id=merchant_id)[0]

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        return self._fetch_key(_SQL["revoke_key"], id=key_id)

    def revoke_adopted_keys(self, merchant_id: UUID, name: str, keep: bytes) -> Sequence[ApiKey]:
        rows = self.session.fetch_all(
            _SQL["revoke_adopted_keys"], merchant_id=merchant_id, name=name, keep=keep
        )
        return [_build_key(row) for row in rows]

    def expire_key(self, key_id: UUID, after: timedelta) -> None:
        self.session.execute(_SQL["expire_key"], id=key_id, after=after)

    def record_api_key_usage(self, key_ids: Sequence[UUID]) -> None:
        self.session.execute(_SQL["record_api_key_usage"], ids=list(key_ids))

    def _fetch_key(self, statement: bytes, **parameters: object) -> ApiKey | None:
        row = self.session.fetch_optional(statement, **parameters)
        return None if row is None else _build_key(row)


def _build_key(row: Sequence[Any]) -> ApiKey:
    id, merchant_id, name, prefix, hash, scopes, *times = row
    return ApiKey(id, merchant_id, name, prefix, hash, frozenset(scopes), *times)
