"""Dashboards in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.lists import PostgresListQueries
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.accounts import Account
from atomic_core.domain.dashboard import (
    MAX_ACCOUNTS,
    MAX_COUNTED_OPEN_PAYMENTS,
    MAX_RECENT_PAYMENTS,
    TOTAL_DAYS,
    Dashboard,
    MerchantProfile,
    PaymentSum,
    build_totals,
)
from atomic_core.domain.lists import PaymentFilter

_SQL: Final = load_statements("dashboard")


@dataclass(frozen=True, slots=True)
class PostgresDashboardRepository:
    session: DatabaseSession

    def get(self, merchant_id: UUID) -> Dashboard | None:
        self.session.use_one_snapshot()
        profile = self.session.fetch_optional(_SQL["get_profile"], merchant_id=merchant_id)
        if profile is None:
            return None
        id, name, created_at, email, at = profile
        totals = self._fetch_sums(_SQL["sum_totals"], merchant_id)
        # Of each currency one more than the maximum: it shows whether all are counted.
        open_sums = self._fetch_sums(
            _SQL["sum_open_payments"], merchant_id, limit=MAX_COUNTED_OPEN_PAYMENTS + 1
        )
        open_payments = sum(row.count for _, row in open_sums)
        return Dashboard(
            profile=MerchantProfile(id, name, email, created_at),
            accounts=self.session.fetch_all_as(
                Account,
                _SQL["list_accounts"],
                merchant_id=merchant_id,
                limit=MAX_ACCOUNTS,
            ),
            payments=PostgresListQueries(self.session).list_payments(
                merchant_id, PaymentFilter(), None, MAX_RECENT_PAYMENTS
            ),
            today=build_totals(row for is_today, row in [*totals, *open_sums] if is_today),
            last_30_days=build_totals(row for _, row in [*totals, *open_sums]),
            are_totals_complete=open_payments <= MAX_COUNTED_OPEN_PAYMENTS,
            at=at,
        )

    def _fetch_sums(
        self, statement: bytes, merchant_id: UUID, **parameters: int
    ) -> Sequence[tuple[bool, PaymentSum]]:
        """Sums, and whether each is today's."""
        rows = self.session.fetch_all(
            statement, merchant_id=merchant_id, days=TOTAL_DAYS, **parameters
        )
        return [
            (is_today, PaymentSum(status, currency, count, int(amount), int(refunded), int(fees)))
            for is_today, status, currency, count, amount, refunded, fees in rows
        ]
