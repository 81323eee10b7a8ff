"""Payments in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.table import PaymentRow, Session
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.payments import Claim, NewPayment, Payment, Settlement, Status


@dataclass(frozen=True, slots=True)
class MemoryPayments:
    session: Session

    def add(self, id: UUID, account_id: UUID, order: NewPayment) -> Payment:
        tables = self.session.tables
        account = tables.accounts.rows.get(account_id)
        whose = account and (account.merchant_id, account.currency)
        if whose != (order.merchant_id, order.money.currency):
            raise StorageRefused("payments_account_of_merchant_and_currency")
        if id in tables.payments.rows:
            raise StorageRefused("payments_pkey")
        now = tables.clock.now()
        payment = Payment(
            id=id,
            merchant_id=order.merchant_id,
            account_id=account_id,
            money=order.money,
            source=order.source,
            description=order.description,
            status=Status.PENDING,
            idempotency_key=order.idempotency_key,
            webhook_url=order.webhook_url,
            failure_reason=None,
            created_at=now,
            updated_at=now,
        )
        tables.payments.put(id, PaymentRow(payment, attempt=0, faults=0, due_at=now))
        return payment

    def get(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        row = self.session.tables.payments.rows.get(payment_id)
        return row.payment if row and row.payment.merchant_id == merchant_id else None

    def claim(self, limit: int, lease: timedelta, overdue_by: timedelta) -> Sequence[Claim]:
        tables = self.session.tables
        now = tables.clock.now()
        due = sorted(
            (
                row
                for row in tables.payments.rows.values()
                if not row.payment.status.settled
                and max(row.due_at, row.leased_until or row.due_at) <= now - overdue_by
            ),
            key=lambda row: (row.due_at, row.payment.id),
        )[:limit]
        claims: list[Claim] = []
        for row in due:
            payment, attempt = row.payment, row.attempt + 1
            processing = replace(payment, status=Status.PROCESSING, updated_at=now)
            claimed = replace(
                row,
                payment=processing,
                attempt=attempt,
                due_at=min(row.due_at, now),
                leased_until=now + lease,
            )
            tables.payments.put(payment.id, claimed)
            claims.append(
                Claim(
                    payment.id,
                    attempt,
                    row.faults,
                    payment.account_id,
                    payment.money.amount,
                    payment.money.currency,
                    payment.source,
                )
            )
        return claims

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        rows = self.session.tables.payments.rows
        return frozenset(
            claim.payment_id
            for claim in claims
            if (row := rows.get(claim.payment_id))
            and row.attempt == claim.attempt
            and row.payment.status is Status.PROCESSING
        )

    def settle(self, settlements: Sequence[Settlement]) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for settlement in settlements:
            row = tables.payments.rows[settlement.payment_id]
            if row.payment.status.settled:
                raise StorageRefused("a settled payment is final")
            payment = replace(
                row.payment,
                status=settlement.status,
                failure_reason=settlement.failure_reason,
                updated_at=now,
            )
            retry_after = settlement.retry_after
            due_at = row.due_at if retry_after is None else now + retry_after
            settled = PaymentRow(payment, row.attempt, settlement.faults, due_at)
            tables.payments.put(settlement.payment_id, settled)
