"""Dashboards in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession, get_total_key
from atomic_core.domain.accounts import Account
from atomic_core.domain.dashboard import (
    MAX_ACCOUNTS,
    MAX_COUNTED_OPEN_PAYMENTS,
    MAX_RECENT_PAYMENTS,
    TOTAL_DAYS,
    Dashboard,
    MerchantProfile,
    PaymentSum,
    build_sum,
    build_totals,
)
from atomic_core.domain.payments import Payment


@dataclass(frozen=True, slots=True)
class MemoryDashboardRepository:
    session: MemorySession

    def get(self, merchant_id: UUID) -> Dashboard | None:
        tables = self.session.tables
        credentials = tables.credentials.rows.values()
        own_credentials = [row for row in credentials if row.merchant_id == merchant_id]
        if not own_credentials:
            return None
        merchant, now = tables.merchants.rows[merchant_id], tables.clock.now()
        today = now.astimezone(UTC).date()
        first_day = today - timedelta(days=TOTAL_DAYS - 1)
        payments = self._list_payments(merchant_id)
        open_payments = [
            payment
            for payment in payments
            if payment.status.is_open and get_total_key(payment)[1] >= first_day
        ]
        sums = [
            *self._list_totals(merchant_id, first_day),
            *(
                (get_total_key(payment)[1], build_sum(payment))
                for payment in _list_newest_per_currency(open_payments)
            ),
        ]
        return Dashboard(
            profile=MerchantProfile(
                merchant.id, merchant.name, own_credentials[0].email, merchant.created_at
            ),
            accounts=self._list_accounts(merchant_id),
            payments=payments[:MAX_RECENT_PAYMENTS],
            today=build_totals(row for day, row in sums if day == today),
            last_30_days=build_totals(row for _, row in sums),
            are_totals_complete=len(open_payments) <= MAX_COUNTED_OPEN_PAYMENTS,
            at=now,
        )

    def _list_totals(self, merchant_id: UUID, first_day: date) -> Iterator[tuple[date, PaymentSum]]:
        for (owner_id, day, _, _), total in self.session.tables.payment_totals.rows.items():
            if owner_id == merchant_id and day >= first_day and total.count:
                yield day, total

    def _list_payments(self, merchant_id: UUID) -> Sequence[Payment]:
        rows = self.session.tables.payments.rows.values()
        own = (row.item for row in rows if row.item.merchant_id == merchant_id)
        return sorted(own, key=lambda payment: (payment.created_at, payment.id), reverse=True)

    def _list_accounts(self, merchant_id: UUID) -> Sequence[Account]:
        accounts = self.session.tables.accounts.rows.values()
        own = (account for account in accounts if account.merchant_id == merchant_id)
        return sorted(own, key=lambda account: (account.created_at, account.id))[:MAX_ACCOUNTS]


def _list_newest_per_currency(payments: Sequence[Payment]) -> Iterator[Payment]:
    """Of each currency one more than the maximum, as in PostgreSQL."""
    counts: Counter[str] = Counter()
    for payment in payments:
        counts[payment.money.currency] += 1
        if counts[payment.money.currency] <= MAX_COUNTED_OPEN_PAYMENTS + 1:
            yield payment
