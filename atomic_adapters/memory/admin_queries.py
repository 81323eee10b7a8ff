"""Everybody's rows in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession, PaymentRow, RefundRow
from atomic_core.domain.accounts import Account
from atomic_core.domain.admin_queries import AdminPayment, AdminRefund, Progress
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.payments import Payment, Status


@dataclass(frozen=True, slots=True)
class MemoryAdminQueries:
    session: MemorySession

    def merchants(self, limit: int) -> Sequence[Merchant]:
        found = self.session.tables.merchants.rows.values()
        return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)[:limit]

    def accounts(self, limit: int, currency: str | None = None) -> Sequence[Account]:
        found = [
            account
            for account in self.session.tables.accounts.rows.values()
            if account.merchant_id is not None and currency in (None, account.currency)
        ]
        return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)[:limit]

    def house(self) -> Sequence[Account]:
        accounts = self.session.tables.accounts.rows.values()
        found = [account for account in accounts if account.merchant_id is None]
        return sorted(found, key=lambda each: (each.currency, each.type))

    def account(self, account_id: UUID) -> Account | None:
        return self.session.tables.accounts.rows.get(account_id)

    def payments(self, limit: int, status: Status | None = None) -> Sequence[Payment]:
        found = [
            row.payment
            for row in self.session.tables.payments.rows.values()
            if status in (None, row.payment.status)
        ]
        return sorted(found, key=lambda payment: payment.id, reverse=True)[:limit]

    def payment(self, payment_id: UUID) -> AdminPayment | None:
        row = self.session.tables.payments.rows.get(payment_id)
        return AdminPayment(row.payment, _progress(row)) if row else None

    def refund(self, refund_id: UUID) -> AdminRefund | None:
        row = self.session.tables.refunds.rows.get(refund_id)
        return AdminRefund(row.refund, _progress(row)) if row else None

    def refunds(self, payment_id: UUID, limit: int) -> Sequence[AdminRefund]:
        rows = self.session.tables.refunds.rows.values()
        found = [
            AdminRefund(row.refund, _progress(row))
            for row in rows
            if row.refund.payment_id == payment_id
        ]
        return sorted(
            found, key=lambda each: (each.refund.created_at, each.refund.id), reverse=True
        )[:limit]


def _progress(row: PaymentRow | RefundRow) -> Progress:
    return Progress(row.faults, row.due_at, row.leased_until)
