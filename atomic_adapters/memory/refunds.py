"""Refunds in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession, WorkItemRow
from atomic_adapters.memory.work_items import (
    claim_items,
    claim_unresolved_item,
    describe_open_step,
    find_current_claims,
    make_item_due,
    measure_since_sent,
    renew_item_leases,
    report_item_doubts,
    request_item_inquiries,
    settle_item,
)
from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, Settlement


@dataclass(frozen=True, slots=True)
class MemoryRefundRepository:
    session: MemorySession

    def add(self, id: UUID, payment: Payment, amount: int, new_refund: NewRefund) -> Refund:
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
            reason=new_refund.reason,
            metadata=new_refund.metadata,
            status=Status.PENDING,
            failure_reason=None,
            idempotency_key=new_refund.idempotency_key,
            created_at=now,
            updated_at=now,
            origin=new_refund.origin,
        )
        self._update_sums(payment.id, reserved=amount)
        tables.refunds.put(id, WorkItemRow(refund, 0, 0, now))
        return refund

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        row = self.session.tables.refunds.rows.get(refund_id)
        return row.item if row and row.item.merchant_id == merchant_id else None

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        refunds = [row.item for row in self.session.tables.refunds.rows.values()]
        of_payment = [refund for refund in refunds if refund.payment_id == payment_id]
        return sorted(of_payment, key=lambda refund: (refund.created_at, refund.id), reverse=True)[
            :limit
        ]

    def claim(
        self,
        limit: int,
        lease: timedelta,
        overdue_by: timedelta,
        worker_id: int | None = None,
        network: str = DEFAULT_NETWORK,
    ) -> Sequence[Claim]:
        tables = self.session.tables
        payments = tables.payments.rows
        rows = claim_items(
            tables,
            tables.refunds,
            (
                row
                for row in tables.refunds.rows.values()
                if payments[row.item.payment_id].item.network == network
            ),
            limit,
            lease,
            overdue_by,
            worker_id,
        )
        return [self._build_claim(row) for row in rows]

    def lock_claims(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return find_current_claims(self.session.tables.refunds, claims)

    def claim_unresolved(self, refund_id: UUID, lease: timedelta) -> Claim | None:
        tables = self.session.tables
        row = claim_unresolved_item(tables, tables.refunds, refund_id, lease)
        return self._build_claim(row) if row else None

    def renew_leases(self, claims: Sequence[Claim], lease: timedelta) -> None:
        tables = self.session.tables
        renew_item_leases(tables, tables.refunds, claims, lease)

    def list_reserved(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        tables = self.session.tables
        keys = {id: (tables.refunds.rows[id].item.payment_id, id) for id in ids}
        return frozenset(id for id, key in keys.items() if key in tables.holds.rows)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for settlement in settlements:
            refund = settle_item(tables, tables.refunds, settlement, now)
            amount = refund.money.amount
            if refund.status is Status.FAILED:
                self._update_sums(refund.payment_id, reserved=-amount)
            elif refund.status is Status.SUCCESS:
                self._update_sums(refund.payment_id, refunded=amount)

    def request_inquiries(self, ids: Iterable[UUID], network: str) -> frozenset[UUID]:
        tables = self.session.tables
        payments, refunds = tables.payments.rows, tables.refunds.rows
        rows = [
            refunds[id]
            for id in ids
            if id in refunds and payments[refunds[id].item.payment_id].item.network == network
        ]
        return request_item_inquiries(tables, tables.refunds, rows)

    def report_doubts(self, alarm: timedelta, limit: int) -> Sequence[UnresolvedStep]:
        tables = self.session.tables
        return report_item_doubts(tables, tables.refunds, alarm, limit)

    def make_due(self, refund_id: UUID) -> bool:
        tables = self.session.tables
        return make_item_due(tables, tables.refunds, refund_id)

    def _build_claim(self, row: WorkItemRow[Refund]) -> Claim:
        tables, refund = self.session.tables, row.item
        network_state, unresolved_for = describe_open_step(tables, row)
        payment = tables.payments.rows[refund.payment_id].item
        return Claim(
            refund.payment_id,
            row.attempt,
            row.faults,
            refund.merchant_id,
            refund.account_id,
            refund.money.amount,
            refund.money.currency,
            payment.source,
            step=Step.REFUND,
            network_state=network_state,
            unresolved_for=unresolved_for,
            network_reference=payment.network_reference,
            key_generation=row.key_generation,
            sent_for=measure_since_sent(tables, row),
            is_taken_over=row.interrupted_lease is not None,
            refund_id=refund.id,
            reserved=(refund.payment_id, refund.id) in tables.holds.rows,
        )

    def _update_sums(self, payment_id: UUID, reserved: int = 0, refunded: int = 0) -> None:
        tables = self.session.tables
        row = tables.payments.rows[payment_id]
        payment = replace(
            row.item,
            refunds_reserved=row.item.refunds_reserved + reserved,
            amount_refunded=row.item.amount_refunded + refunded,
            updated_at=tables.clock.now(),
        )
        if not payment.amount_refunded <= payment.refunds_reserved <= payment.amount_captured:
            raise StorageRefused("payments_refunds_within_capture")
        tables.payments.put(payment_id, replace(row, item=payment))
