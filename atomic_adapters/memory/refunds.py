"""Refunds in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.payments import check_no_live_hold
from atomic_adapters.memory.tables import MemorySession, RefundRow
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, Settlement


@dataclass(frozen=True, slots=True)
class MemoryRefundRepository:
    session: MemorySession

    def add(self, id: UUID, payment: Payment, amount: int, order: NewRefund) -> Refund:
        tables = self.session.tables
        if id in tables.refunds.rows:
            raise StorageRefused("refunds_pkey")
        now = tables.clock.now()
        refund = Refund(
            id=id,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            account_id=payment.account_id,
            money=Money(amount, payment.money.currency),
            reason=order.reason,
            metadata=order.metadata,
            status=Status.PENDING,
            failure_reason=None,
            idempotency_key=order.idempotency_key,
            created_at=now,
            updated_at=now,
            request_id=order.request_id,
        )
        self._sum_up(payment.id, reserved=amount)
        tables.refunds.put(id, RefundRow(refund, 0, 0, now))
        return refund

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        row = self.session.tables.refunds.rows.get(refund_id)
        return row.refund if row and row.refund.merchant_id == merchant_id else None

    def of_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        refunds = [row.refund for row in self.session.tables.refunds.rows.values()]
        found = [refund for refund in refunds if refund.payment_id == payment_id]
        return sorted(found, key=lambda refund: (refund.created_at, refund.id), reverse=True)[
            :limit
        ]

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[Claim]:
        tables = self.session.tables
        now, present = tables.clock.now(), tables.claimants
        due = sorted(
            (
                row
                for row in tables.refunds.rows.values()
                if row.refund.status.open
                and (
                    max(row.due_at, row.leased_until or row.due_at) <= now - overdue_by
                    or (row.claimed_by is not None and row.claimed_by not in present)
                )
            ),
            key=lambda row: (row.due_at, row.refund.id),
        )[:limit]
        claims: list[Claim] = []
        for row in due:
            attempt = row.attempt + 1
            refund = replace(
                row.refund,
                status=Status.PROCESSING,
                updated_at=now,
                claimed_at=row.refund.claimed_at or now,
                attempt=attempt,
            )
            claimed = replace(
                row,
                refund=refund,
                attempt=attempt,
                due_at=min(row.due_at, now),
                leased_until=now + lease,
                claimed_by=worker_id if worker_id in present else None,
            )
            tables.refunds.put(refund.id, claimed)
            claims.append(self._claimed(claimed))
        return claims

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        rows = self.session.tables.refunds.rows
        return frozenset(
            claim.id
            for claim in claims
            if (row := rows.get(claim.id))
            and row.attempt == claim.attempt
            and row.refund.status is Status.PROCESSING
        )

    def promised(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        tables = self.session.tables
        keys = {id: (tables.refunds.rows[id].refund.payment_id, id) for id in ids}
        return frozenset(id for id, key in keys.items() if key in tables.holds.rows)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for settlement in settlements:
            row = tables.refunds.rows[settlement.id]
            if not row.refund.status.open:
                raise StorageRefused("a settled refund is final")
            check_no_live_hold(tables, settlement)
            refund = replace(
                row.refund,
                status=settlement.status,
                failure_reason=settlement.failure_reason,
                updated_at=now,
            )
            retry_after = settlement.retry_after
            due_at = row.due_at if retry_after is None else now + retry_after
            settled = RefundRow(refund, row.attempt, settlement.faults, due_at)
            tables.refunds.put(refund.id, settled)
            amount = refund.money.amount
            if refund.status is Status.FAILED:
                self._sum_up(refund.payment_id, reserved=-amount)
            elif refund.status is Status.SUCCESS:
                self._sum_up(refund.payment_id, refunded=amount)

    def hasten(self, refund_id: UUID) -> bool:
        tables = self.session.tables
        row = tables.refunds.rows.get(refund_id)
        if row is None or not row.refund.status.open:
            return False
        due_at = min(row.due_at, tables.clock.now())
        hastened = replace(row, due_at=due_at, leased_until=None, claimed_by=None)
        tables.refunds.put(refund_id, hastened)
        return True

    def _claimed(self, row: RefundRow) -> Claim:
        tables, refund = self.session.tables, row.refund
        return Claim(
            refund.payment_id,
            row.attempt,
            row.faults,
            refund.account_id,
            refund.money.amount,
            refund.money.currency,
            tables.payments.rows[refund.payment_id].payment.source,
            step=Step.REFUND,
            refund_id=refund.id,
            reserved=(refund.payment_id, refund.id) in tables.holds.rows,
        )

    def _sum_up(self, payment_id: UUID, reserved: int = 0, refunded: int = 0) -> None:
        tables = self.session.tables
        row = tables.payments.rows[payment_id]
        payment = replace(
            row.payment,
            refunds_reserved=row.payment.refunds_reserved + reserved,
            amount_refunded=row.payment.amount_refunded + refunded,
            updated_at=tables.clock.now(),
        )
        if not payment.amount_refunded <= payment.refunds_reserved <= payment.amount_captured:
            raise StorageRefused("payments_refunds_within_capture")
        tables.payments.put(payment_id, replace(row, payment=payment))
