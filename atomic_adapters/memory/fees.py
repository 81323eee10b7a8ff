"""Fee schedules in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.fees import FeeSchedule, FeeTerms


@dataclass(frozen=True, slots=True)
class MemoryFeeRepository:
    session: MemorySession

    def set(self, merchant_id: UUID, currency: str, terms: FeeTerms) -> FeeSchedule:
        tables = self.session.tables
        if merchant_id not in tables.merchants.rows:
            raise StorageRefused("fee_schedules_merchant_id_fkey")
        schedule = FeeSchedule(merchant_id, currency, terms, tables.clock.now())
        tables.fees.put((merchant_id, currency), schedule)
        return schedule

    def list_by_merchant(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        rows = sorted(self.session.tables.fees.rows.items())
        return [schedule for (owner, _), schedule in rows if owner == merchant_id]
