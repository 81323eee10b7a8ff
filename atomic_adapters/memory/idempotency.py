"""Idempotency keys in memory."""

from dataclasses import dataclass
from itertools import islice

from atomic_adapters.memory.table import IdempotencyRow, Session
from atomic_core.domain.errors import IdempotencyKeyInUse, StorageUnavailable
from atomic_core.domain.idempotency import IdempotencyRecord, IdempotentRequest, StoredResponse


@dataclass(frozen=True, slots=True)
class MemoryIdempotencyKeys:
    session: Session

    def claim(self, request: IdempotentRequest) -> StoredResponse | None:
        try:
            tables = self.session.tables
        except StorageUnavailable as busy:
            raise IdempotencyKeyInUse from busy
        # Nothing to write yet: until this unit of work ends, nobody else can claim the key.
        row = tables.idempotency.rows.get((request.merchant_id, request.key))
        if row is None or row.expires_at <= tables.clock.now():
            return None
        return row.record.replay_for(request)

    def complete(self, request: IdempotentRequest, response: StoredResponse) -> None:
        tables = self.session.tables
        record = IdempotencyRecord(request.method, request.path, request.fingerprint, response)
        expires_at = tables.clock.now() + request.keep_for
        tables.idempotency.put(
            (request.merchant_id, request.key), IdempotencyRow(record, expires_at)
        )

    def purge(self, limit: int) -> int:
        tables = self.session.tables
        now = tables.clock.now()
        expired = [key for key, row in tables.idempotency.rows.items() if row.expires_at <= now]
        for key in islice(expired, limit):
            tables.idempotency.remove(key)
        return min(len(expired), limit)
