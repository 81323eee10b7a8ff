"""Everybody's rows in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.payments import payment_of
from atomic_adapters.postgres.refunds import refund_of
from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.accounts import Account
from atomic_core.domain.admin_queries import AdminPayment, AdminRefund, Progress
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.payments import Payment, Status

_SQL: Final = statements("admin_queries")


@dataclass(frozen=True, slots=True)
class PostgresAdminQueries:
    session: Session

    def merchants(self, limit: int) -> Sequence[Merchant]:
        return self.session.all_of(Merchant, _SQL["all_merchants"], limit=limit)

    def accounts(self, limit: int, currency: str | None = None) -> Sequence[Account]:
        return self.session.all_of(Account, _SQL["all_accounts"], currency=currency, limit=limit)

    def house(self) -> Sequence[Account]:
        return self.session.all_of(Account, _SQL["house_accounts"])

    def account(self, account_id: UUID) -> Account | None:
        return self.session.first_of(Account, _SQL["any_account"], id=account_id)

    def payments(self, limit: int, status: Status | None = None) -> Sequence[Payment]:
        rows = self.session.rows(
            _SQL["all_payments"],
            only=status,
            phase=_phase(status) if status else None,
            limit=limit,
        )
        return [payment_of(row) for row in rows]

    def payment(self, payment_id: UUID) -> AdminPayment | None:
        row = self.session.row(_SQL["any_payment"], id=payment_id)
        return AdminPayment(payment_of(row[3:]), Progress(*row[:3])) if row else None

    def refund(self, refund_id: UUID) -> AdminRefund | None:
        row = self.session.row(_SQL["any_refund"], id=refund_id)
        return _overseen_refund(row) if row else None

    def refunds(self, payment_id: UUID, limit: int) -> Sequence[AdminRefund]:
        rows = self.session.rows(_SQL["any_refunds_of_payment"], payment_id=payment_id, limit=limit)
        return [_overseen_refund(row) for row in rows]


def _overseen_refund(row: Sequence[Any]) -> AdminRefund:
    return AdminRefund(refund_of(row[3:]), Progress(*row[:3]))


def _phase(status: Status) -> str:
    """As the table generates it."""
    return "OPEN" if status.open else status.value
