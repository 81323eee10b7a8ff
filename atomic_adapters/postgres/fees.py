"""Fee schedules in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.fees import FeeSchedule, FeeTerms

_SQL: Final = load_statements("fees")


@dataclass(frozen=True, slots=True)
class PostgresFeeRepository:
    session: DatabaseSession

    def set(self, merchant_id: UUID, currency: str, terms: FeeTerms) -> FeeSchedule:
        row = self.session.fetch_one(
            _SQL["upsert_fee_schedule"],
            merchant_id=merchant_id,
            currency=currency,
            basis_points=terms.basis_points,
            fixed=terms.fixed,
        )
        return _build_schedule(row)

    def list_by_merchant(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        rows = self.session.fetch_all(_SQL["list_fee_schedules"], merchant_id=merchant_id)
        return [_build_schedule(row) for row in rows]


def _build_schedule(row: Sequence[Any]) -> FeeSchedule:
    merchant_id, currency, basis_points, fixed, updated_at = row
    return FeeSchedule(merchant_id, currency, FeeTerms(basis_points, fixed), updated_at)
