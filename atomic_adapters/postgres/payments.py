"""Payments in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Claim, NewPayment, Payment, Settlement, Status

_SQL: Final = statements("payments")


@dataclass(frozen=True, slots=True)
class PostgresPayments:
    session: Session

    def add(self, id: UUID, account_id: UUID, order: NewPayment) -> Payment:
        row = self.session.one(
            _SQL["add_payment"],
            id=id,
            merchant_id=order.merchant_id,
            account_id=account_id,
            amount=order.money.amount,
            currency=order.money.currency,
            source=order.source,
            description=order.description,
            idempotency_key=order.idempotency_key,
            webhook_url=order.webhook_url,
        )
        return _payment(row)

    def get(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        row = self.session.row(_SQL["get_payment"], id=payment_id, merchant_id=merchant_id)
        return _payment(row) if row else None

    def claim(self, limit: int, lease: timedelta, overdue_by: timedelta) -> Sequence[Claim]:
        rows = self.session.rows(
            _SQL["claim_payments"], limit=limit, lease=lease, overdue_by=overdue_by
        )
        return [Claim(*row) for row in rows]

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        rows = self.session.rows(
            _SQL["hold_claims"],
            ids=[claim.payment_id for claim in claims],
            attempts=[claim.attempt for claim in claims],
        )
        return frozenset(id for (id,) in rows)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        settled = self.session.execute(
            _SQL["settle_payments"],
            ids=[settlement.payment_id for settlement in settlements],
            statuses=[settlement.status.value for settlement in settlements],
            failure_reasons=[settlement.failure_reason for settlement in settlements],
            faults=[settlement.faults for settlement in settlements],
            retries_after=[settlement.retry_after for settlement in settlements],
        )
        if settled != len(settlements):
            raise StorageRefused(f"{settled} of {len(settlements)} payments could be settled")


def _payment(row: tuple[Any, ...]) -> Payment:
    id, merchant_id, account_id, amount, currency, source, description, status, *rest = row
    money = Money(amount, currency)
    return Payment(id, merchant_id, account_id, money, source, description, Status(status), *rest)
