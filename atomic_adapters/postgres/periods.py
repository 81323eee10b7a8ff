"""Closed periods in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import bigint_array, text_array, uuid_array
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.lists import MAX_TIME, MIN_ID, Position
from atomic_core.domain.periods import ClosingBalance, Period

_SQL: Final = load_statements("periods")


@dataclass(frozen=True, slots=True)
class PostgresPeriodRepository:
    session: DatabaseSession

    def lock_accounts(self, merchant_id: UUID) -> Sequence[tuple[UUID, str]]:
        rows = self.session.fetch_all(_SQL["lock_accounts_of_merchant"], merchant_id=merchant_id)
        return [(id, currency) for id, currency in rows]

    def get_last(self, merchant_id: UUID) -> Period | None:
        return _build_period(
            self.session.fetch_optional(_SQL["get_last_period"], merchant_id=merchant_id)
        )

    def get_closed_through(self, merchant_id: UUID) -> date | None:
        return self.session.fetch_one(_SQL["get_closed_through"], merchant_id=merchant_id)[0]

    def add(self, period: Period, balances: Sequence[ClosingBalance]) -> None:
        self.session.execute(
            _SQL["insert_period"],
            id=period.id,
            merchant_id=period.merchant_id,
            starts_on=period.start,
            ends_on=period.end,
            closed_at=period.closed_at,
            accounts=period.accounts,
            digest=period.digest,
            previous_digest=period.previous_digest,
        )
        if balances:
            self.session.execute(
                _SQL["insert_closing_balances"],
                period_id=period.id,
                sequences=bigint_array([row.sequence for row in balances]),
                account_ids=uuid_array([row.account_id for row in balances]),
                currencies=text_array([row.currency for row in balances]),
                # Sums on the effective axis have no bounds.
                balances=text_array([str(row.balance) for row in balances]),
            )

    def get(self, merchant_id: UUID, period_id: UUID) -> Period | None:
        return _build_period(
            self.session.fetch_optional(_SQL["get_period"], id=period_id, merchant_id=merchant_id)
        )

    def list(self, merchant_id: UUID, after: Position | None, limit: int) -> Sequence[Period]:
        top = after or Position(MAX_TIME, MIN_ID)
        rows = self.session.fetch_all(
            _SQL["list_periods"],
            merchant_id=merchant_id,
            top_at=top.created_at,
            top_id=top.id,
            limit=limit,
        )
        return [Period(*row) for row in rows]

    def list_balances(
        self, period_id: UUID, after: int | None, limit: int
    ) -> Sequence[ClosingBalance]:
        rows = self.session.fetch_all(
            _SQL["list_closing_balances"], id=period_id, after_sequence=after or 0, limit=limit
        )
        return [
            ClosingBalance(sequence, account_id, currency, int(balance))
            for sequence, account_id, currency, balance in rows
        ]


def _build_period(row: tuple[Any, ...] | None) -> Period | None:
    """`row` has the columns of fragments/period_columns.sql."""
    return Period(*row) if row else None
