"""Dashboards in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.accounts import Account
from atomic_core.domain.dashboard import (
    MAX_ACCOUNTS,
    MAX_COUNTED_PAYMENTS,
    MAX_RECENT_PAYMENTS,
    TOTAL_DAYS,
    Dashboard,
    MerchantProfile,
    PaymentSum,
    PaymentTotal,
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
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        first_day = today - timedelta(days=TOTAL_DAYS - 1)
        payments = self._list_payments(merchant_id)
        counted = [payment for payment in payments if payment.created_at >= first_day]
        is_whole, counted = (
            len(counted) <= MAX_COUNTED_PAYMENTS,
            counted[: MAX_COUNTED_PAYMENTS + 1],
        )
        return Dashboard(
            profile=MerchantProfile(
                merchant.id, merchant.name, own_credentials[0].email, merchant.created_at
            ),
            accounts=self._list_accounts(merchant_id),
            payments=payments[:MAX_RECENT_PAYMENTS],
            today=_sum_totals(payment for payment in counted if payment.created_at >= today),
            last_30_days=_sum_totals(counted),
            are_totals_complete=is_whole,
            at=now,
        )

    def _list_payments(self, merchant_id: UUID) -> Sequence[Payment]:
        rows = self.session.tables.payments.rows.values()
        own = (row.item for row in rows if row.item.merchant_id == merchant_id)
        return sorted(own, key=lambda payment: (payment.created_at, payment.id), reverse=True)

    def _list_accounts(self, merchant_id: UUID) -> Sequence[Account]:
        accounts = self.session.tables.accounts.rows.values()
        own = (account for account in accounts if account.merchant_id == merchant_id)
        return sorted(own, key=lambda account: (account.created_at, account.id))[:MAX_ACCOUNTS]


def _sum_totals(payments: Iterable[Payment]) -> Sequence[PaymentTotal]:
    return build_totals(
        PaymentSum(
            payment.status.value,
            payment.money.currency,
            1,
            payment.amount_captured or payment.money.amount,
            payment.amount_refunded,
            payment.fee,
        )
        for payment in payments
    )
