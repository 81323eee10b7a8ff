"""Idempotency keys in PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import errors

from atomic_adapters.postgres.arrays import (
    bytea_array,
    interval_array,
    smallint_array,
    text_array,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession, RowCheck
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import IdempotencyKeyInUse, StorageRefused, StorageUnavailable
from atomic_core.domain.idempotency import (
    IdempotencyRecord,
    IdempotentRequest,
    StoredIdempotencyKey,
    StoredResponse,
)

_SQL: Final = load_statements("idempotency")


@dataclass(frozen=True, slots=True)
class PostgresIdempotencyRepository:
    session: DatabaseSession

    def claim_key(self, request: IdempotentRequest) -> StoredResponse | None:
        if self._insert_key(request):
            return None
        record = self.find_records(request.merchant_id, [request.key]).get(request.key)
        if record is None:
            # The key expired and was purged between the two statements.
            raise IdempotencyKeyInUse
        return record.replay_for(request)

    def claim_keys(self, requests: Sequence[IdempotentRequest]) -> frozenset[str]:
        with map_key_wait_timeout():
            rows = self.session.fetch_all(
                _SQL["claim_keys"],
                merchant_ids=uuid_array([request.merchant_id for request in requests]),
                keys=text_array([request.key for request in requests]),
                methods=text_array([request.method for request in requests]),
                paths=text_array([request.path for request in requests]),
                fingerprints=bytea_array([request.fingerprint for request in requests]),
                retentions=interval_array([request.retention for request in requests]),
            )
        return frozenset(key for (key,) in rows)

    def store_responses(
        self, responses: Sequence[tuple[IdempotentRequest, StoredResponse]]
    ) -> None:
        self.session.send_checked(
            RowCheck("responses stored", len(responses)),
            _SQL["store_responses"],
            merchant_ids=uuid_array([request.merchant_id for request, _ in responses]),
            keys=text_array([request.key for request, _ in responses]),
            statuses=smallint_array([response.status for _, response in responses]),
            bodies=bytea_array([response.body for _, response in responses]),
            locations=text_array([response.location for _, response in responses]),
        )

    def release_keys(self, merchant_id: UUID, keys: Sequence[str]) -> None:
        self.session.send_checked(
            RowCheck("keys released", len(keys)),
            _SQL["release_keys"],
            merchant_id=merchant_id,
            keys=text_array(keys),
        )

    def lock_keys(self, merchant_id: UUID, keys: Sequence[str]) -> None:
        with map_key_wait_timeout():
            self.session.execute(_SQL["lock_keys"], merchant_id=merchant_id, keys=list(set(keys)))

    def find_records(
        self, merchant_id: UUID, keys: Sequence[str]
    ) -> Mapping[str, IdempotencyRecord]:
        rows = self.session.fetch_all(
            _SQL["find_records"], merchant_id=merchant_id, keys=list(keys)
        )
        return {key: _build_record(columns) for key, *columns in rows}

    def find_key(self, merchant_id: UUID, key: str) -> StoredIdempotencyKey | None:
        row = self.session.fetch_optional(_SQL["find_key"], merchant_id=merchant_id, key=key)
        if row is None:
            return None
        *columns, expires_at = row
        return StoredIdempotencyKey(key, _build_record(columns), expires_at)

    def store_response(self, request: IdempotentRequest, response: StoredResponse) -> None:
        self.session.send_checked(
            RowCheck("responses stored", 1),
            _SQL["store_response"],
            merchant_id=request.merchant_id,
            key=request.key,
            status=response.status,
            body=response.body,
            location=response.location,
        )

    def purge_keys(self, limit: int) -> int:
        return self.session.execute(_SQL["purge_keys"], limit=limit)

    def _insert_key(self, request: IdempotentRequest) -> bool:
        with map_key_wait_timeout():
            row = self.session.fetch_optional(
                _SQL["claim_key"],
                merchant_id=request.merchant_id,
                key=request.key,
                method=request.method,
                path=request.path,
                fingerprint=request.fingerprint,
                retention=request.retention,
            )
        return row is not None


@contextmanager
def map_key_wait_timeout() -> Iterator[None]:
    """Raise IdempotencyKeyInUse if a statement timed out waiting for a concurrent use of a key."""
    try:
        yield
    except StorageUnavailable as busy:
        if isinstance(busy.__cause__, errors.LockNotAvailable):
            raise IdempotencyKeyInUse from busy
        raise


def _build_record(columns: Sequence[Any]) -> IdempotencyRecord:
    method, path, fingerprint, status, body, location, created_at = columns
    if status is None:
        raise StorageRefused("an idempotency key was committed without its response")
    response = StoredResponse(status, body, location)
    return IdempotencyRecord(method, path, fingerprint, response, created_at)
