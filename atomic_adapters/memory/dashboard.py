"""Dashboards in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.accounts import Account
from atomic_core.domain.dashboard import (
    LAST_PAYMENTS,
    MAX_ACCOUNTS,
    MAX_COUNTED,
    TOTAL_DAYS,
    Dashboard,
    Profile,
    Total,
)
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Payment


@dataclass(frozen=True, slots=True)
class MemoryDashboardRepository:
    session: MemorySession

    def show(self, merchant_id: UUID) -> Dashboard | None:
        tables = self.session.tables
        credentials = tables.credentials.rows.values()
        mine = [each for each in credentials if each.merchant_id == merchant_id]
        if not mine:
            return None
        merchant, now = tables.merchants.rows[merchant_id], tables.clock.now()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        first_day = today - timedelta(days=TOTAL_DAYS - 1)
        payments = self._payments(merchant_id)
        counted = [payment for payment in payments if payment.created_at >= first_day]
        whole, counted = len(counted) <= MAX_COUNTED, counted[: MAX_COUNTED + 1]
        return Dashboard(
            profile=Profile(merchant.id, merchant.name, mine[0].email, merchant.created_at),
            accounts=self._accounts(merchant_id),
            payments=payments[:LAST_PAYMENTS],
            today=_totals(payment for payment in counted if payment.created_at >= today),
            last_30_days=_totals(counted),
            whole=whole,
            at=now,
        )

    def _payments(self, merchant_id: UUID) -> Sequence[Payment]:
        rows = self.session.tables.payments.rows.values()
        mine = (row.payment for row in rows if row.payment.merchant_id == merchant_id)
        return sorted(mine, key=lambda payment: (payment.created_at, payment.id), reverse=True)

    def _accounts(self, merchant_id: UUID) -> Sequence[Account]:
        accounts = self.session.tables.accounts.rows.values()
        mine = (account for account in accounts if account.merchant_id == merchant_id)
        return sorted(mine, key=lambda account: (account.created_at, account.id))[:MAX_ACCOUNTS]


def _totals(payments: Iterable[Payment]) -> Sequence[Total]:
    totals: dict[tuple[str, str], Total] = {}
    for payment in payments:
        key = (payment.status.value, payment.money.currency)
        so_far = totals.get(key, Total(*key, 0, 0))
        amount = min(so_far.amount + payment.money.amount, MAX_AMOUNT)
        totals[key] = Total(*key, so_far.count + 1, amount)
    return [totals[key] for key in sorted(totals)]
