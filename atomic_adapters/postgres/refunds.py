"""Refunds in PostgreSQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import integers, intervals, smallints, texts, uuids
from atomic_adapters.postgres.payments import as_json
from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, Settlement

_SQL: Final = statements("refunds")


@dataclass(frozen=True, slots=True)
class PostgresRefundRepository:
    session: Session

    def add(self, id: UUID, payment: Payment, amount: int, order: NewRefund) -> Refund:
        row = self.session.one(
            _SQL["add_refund"],
            id=id,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            account_id=payment.account_id,
            currency=payment.money.currency,
            amount=amount,
            reason=order.reason,
            metadata=as_json(order.metadata),
            idempotency_key=order.idempotency_key,
            request_id=order.request_id,
        )
        return refund_of(row)

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        row = self.session.row(_SQL["get_refund"], id=refund_id, merchant_id=merchant_id)
        return refund_of(row) if row else None

    def of_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        rows = self.session.rows(_SQL["refunds_of_payment"], payment_id=payment_id, limit=limit)
        return [refund_of(row) for row in rows]

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[Claim]:
        rows = self.session.rows(
            _SQL["claim_refunds"],
            limit=limit,
            lease=lease,
            overdue_by=overdue_by,
            worker_id=worker_id,
        )
        return [
            Claim(*told, step=Step.REFUND, refund_id=refund_id, reserved=reserved)
            for *told, refund_id, reserved in rows
        ]

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        self.session.rows(
            _SQL["hold_refunded_payments"], ids=list({claim.payment_id for claim in claims})
        )
        rows = self.session.rows(
            _SQL["hold_refunds"],
            ids=uuids(claim.id for claim in claims),
            attempts=integers(claim.attempt for claim in claims),
        )
        return frozenset(id for (id,) in rows)

    def promised(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        rows = self.session.rows(_SQL["promised_refunds"], ids=list(ids))
        return frozenset(id for (id,) in rows)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        if not settlements:
            return
        settled = self.session.execute(
            _SQL["settle_refunds"],
            ids=uuids(settlement.id for settlement in settlements),
            statuses=texts(settlement.status for settlement in settlements),
            failure_reasons=texts(settlement.failure_reason for settlement in settlements),
            faults=smallints(settlement.faults for settlement in settlements),
            retries_after=intervals(settlement.retry_after for settlement in settlements),
        )
        if settled != len(settlements):
            raise StorageRefused(f"{settled} of {len(settlements)} refunds could be settled")

    def hasten(self, refund_id: UUID) -> bool:
        return self.session.execute(_SQL["hasten_refund"], id=refund_id) == 1


def refund_of(row: Sequence[Any]) -> Refund:
    id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status, *rest = row
    money = Money(amount, currency)
    return Refund(
        id,
        payment_id,
        merchant_id,
        account_id,
        money,
        reason,
        metadata or {},
        Status(status),
        *rest,
    )
