"""Dashboards in PostgreSQL."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.lists import PostgresListQueries, get_phases
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.accounts import Account
from atomic_core.domain.dashboard import (
    MAX_ACCOUNTS,
    MAX_COUNTED_PAYMENTS,
    MAX_RECENT_PAYMENTS,
    TOTAL_DAYS,
    Dashboard,
    MerchantProfile,
    PaymentSum,
    build_totals,
)
from atomic_core.domain.lists import PaymentFilter

_SQL: Final = load_statements("dashboard")
_SNAPSHOT: Final = load_statements("ledger_verification")["use_one_snapshot"]


@dataclass(frozen=True, slots=True)
class PostgresDashboardRepository:
    session: DatabaseSession

    def get(self, merchant_id: UUID) -> Dashboard | None:
        self.session.execute(_SNAPSHOT)
        profile = self.session.fetch_optional(_SQL["get_profile"], merchant_id=merchant_id)
        if profile is None:
            return None
        id, name, created_at, email, at = profile
        lists, no_filter = PostgresListQueries(self.session), PaymentFilter()
        # One more than the maximum: it shows whether the counts are complete.
        rows = self.session.fetch_all(
            _SQL["sum_payments"],
            merchant_id=merchant_id,
            phases=get_phases(no_filter),
            days=TOTAL_DAYS,
            limit=MAX_COUNTED_PAYMENTS + 1,
        )
        sums = [
            (is_today, PaymentSum(status, currency, count, int(amount), int(refunded), int(fees)))
            for is_today, status, currency, count, amount, refunded, fees in rows
        ]
        return Dashboard(
            profile=MerchantProfile(id, name, email, created_at),
            accounts=self.session.fetch_all_as(
                Account,
                _SQL["list_accounts"],
                merchant_id=merchant_id,
                limit=MAX_ACCOUNTS,
            ),
            payments=lists.list_payments(merchant_id, no_filter, None, MAX_RECENT_PAYMENTS),
            today=build_totals(row for is_today, row in sums if is_today),
            last_30_days=build_totals(row for _, row in sums),
            are_totals_complete=sum(row.count for _, row in sums) <= MAX_COUNTED_PAYMENTS,
            at=at,
        )
