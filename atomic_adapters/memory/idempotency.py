"""Idempotency keys in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from atomic_adapters.memory.tables import IdempotencyRow, MemorySession, Tables
from atomic_core.domain.errors import IdempotencyKeyInUse, StorageUnavailable
from atomic_core.domain.idempotency import (
    IdempotencyRecord,
    IdempotentRequest,
    StoredIdempotencyKey,
    StoredResponse,
)


@dataclass(frozen=True, slots=True)
class MemoryIdempotencyRepository:
    session: MemorySession

    def claim_key(self, request: IdempotentRequest) -> StoredResponse | None:
        try:
            tables = self.session.tables
        except StorageUnavailable as busy:
            raise IdempotencyKeyInUse from busy
        # Nothing to write: no other unit of work can claim the key until this one ends.
        row = find_unexpired_row(tables, request)
        return row.record.replay_for(request) if row else None

    def claim_keys(self, requests: Sequence[IdempotentRequest]) -> frozenset[str]:
        try:
            tables = self.session.tables
        except StorageUnavailable as busy:
            raise IdempotencyKeyInUse from busy
        return frozenset(
            request.key for request in requests if find_unexpired_row(tables, request) is None
        )

    def store_responses(
        self, responses: Sequence[tuple[IdempotentRequest, StoredResponse]]
    ) -> None:
        for request, response in responses:
            self.store_response(request, response)

    def release_keys(self, merchant_id: UUID, keys: Sequence[str]) -> None:
        """Nothing to do: a claim writes nothing."""

    def lock_keys(self, merchant_id: UUID, keys: Sequence[str]) -> None:  # noqa: ARG002
        try:
            # Locks all tables, and with them every key.
            _ = self.session.tables
        except StorageUnavailable as busy:
            raise IdempotencyKeyInUse from busy

    def find_records(
        self, merchant_id: UUID, keys: Sequence[str]
    ) -> Mapping[str, IdempotencyRecord]:
        tables = self.session.tables
        rows = {key: tables.idempotency.rows.get((merchant_id, key)) for key in keys}
        return {key: row.record for key, row in rows.items() if row}

    def find_key(self, merchant_id: UUID, key: str) -> StoredIdempotencyKey | None:
        row = _find_unexpired(self.session.tables, merchant_id, key)
        return StoredIdempotencyKey(key, row.record, row.expires_at) if row else None

    def store_response(self, request: IdempotentRequest, response: StoredResponse) -> None:
        store_response(self.session.tables, request, response)

    def purge_keys(self, limit: int) -> int:
        tables = self.session.tables
        now = tables.clock.now()
        expired = [key for key, row in tables.idempotency.rows.items() if row.expires_at <= now]
        for key in islice(expired, limit):
            tables.idempotency.remove(key)
        return min(len(expired), limit)


def find_unexpired_row(tables: Tables, request: IdempotentRequest) -> IdempotencyRow | None:
    """The row of the request's key, or None if there is none or it has expired."""
    return _find_unexpired(tables, request.merchant_id, request.key)


def _find_unexpired(tables: Tables, merchant_id: UUID, key: str) -> IdempotencyRow | None:
    row = tables.idempotency.rows.get((merchant_id, key))
    return row if row and row.expires_at > tables.clock.now() else None


def store_response(
    tables: Tables, request: IdempotentRequest, response: StoredResponse
) -> datetime:
    """Store a request's response; return the time of its record."""
    now = tables.clock.now()
    record = IdempotencyRecord(
        request.method, request.path, request.fingerprint, response, created_at=now
    )
    row = IdempotencyRow(record, now + request.retention)
    tables.idempotency.put((request.merchant_id, request.key), row)
    return now
