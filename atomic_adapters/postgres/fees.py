"""Fee schedules in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.fees import FeeSchedule, FeeTerms

_SQL: Final = statements("fees")


@dataclass(frozen=True, slots=True)
class PostgresFeeRepository:
    session: Session

    def set(self, merchant_id: UUID, currency: str, terms: FeeTerms) -> FeeSchedule:
        row = self.session.one(
            _SQL["set_fees"],
            merchant_id=merchant_id,
            currency=currency,
            basis_points=terms.basis_points,
            fixed=terms.fixed,
        )
        return _schedule(row)

    def of_merchant(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        rows = self.session.rows(_SQL["fees_of_merchant"], merchant_id=merchant_id)
        return [_schedule(row) for row in rows]


def _schedule(row: Sequence[Any]) -> FeeSchedule:
    merchant_id, currency, basis_points, fixed, updated_at = row
    return FeeSchedule(merchant_id, currency, FeeTerms(basis_points, fixed), updated_at)
