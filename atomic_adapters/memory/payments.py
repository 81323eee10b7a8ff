"""Payments in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from atomic_adapters.memory.idempotency import find_unexpired_row, store_response
from atomic_adapters.memory.ledger import MemoryAccountRepository
from atomic_adapters.memory.merchants import MemoryMerchantRepository
from atomic_adapters.memory.tables import MemorySession, PaymentRow, Tables
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.payments import (
    EXPIRED,
    InsertedPayment,
    Lookup,
    Payment,
    PaymentInsert,
    Resolution,
    Status,
    Step,
)
from atomic_core.domain.settlement import Claim, Settlement


@dataclass(frozen=True, slots=True)
class MemoryPaymentRepository:
    session: MemorySession

    def accept(
        self,
        inserts: Sequence[PaymentInsert],
        patience: timedelta | None = None,  # noqa: ARG002  no two calls are under way at once
    ) -> Sequence[InsertedPayment | None]:
        return [self._accept(insert) for insert in inserts]

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        return [self._find(lookup) for lookup in lookups]

    def _accept(self, insert: PaymentInsert) -> InsertedPayment | None:
        tables = self.session.tables
        order = insert.order
        account_id = MemoryAccountRepository(self.session).credited(
            order.merchant_id, order.money.currency
        )
        if account_id is None or not self._allows(insert.key_id):
            return None
        if insert.payment_id in tables.payments.rows:
            raise StorageRefused("payments_pkey")
        if insert.record is None:
            now = tables.clock.now()
        elif find_unexpired_row(tables, insert.record[0]) is None:
            now = store_response(tables, *insert.record)
        else:
            return None
        accepted = InsertedPayment(account_id, now)
        row = PaymentRow(insert.recorded(accepted), attempt=0, faults=0, due_at=now)
        tables.payments.put(insert.payment_id, row)
        return accepted

    def _find(self, lookup: Lookup) -> Payment | None:
        row = self.session.tables.payments.rows.get(lookup.payment_id)
        if row is None or row.payment.merchant_id != lookup.merchant_id:
            return None
        return row.payment if self._allows(lookup.key_id) else None

    def _allows(self, key_id: UUID | None) -> bool:
        return key_id is None or MemoryMerchantRepository(self.session).is_active(key_id)

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[Claim]:
        tables = self.session.tables
        now = tables.clock.now()
        present = tables.claimants
        due = sorted(
            (
                row
                for row in tables.payments.rows.values()
                if row.payment.status.open
                and (
                    max(row.due_at, row.leased_until or row.due_at) <= now - overdue_by
                    or (row.claimed_by is not None and row.claimed_by not in present)
                )
            ),
            key=lambda row: (row.due_at, row.payment.id),
        )[:limit]
        claims: list[Claim] = []
        for row in due:
            payment, attempt = row.payment, row.attempt + 1
            processing = replace(
                payment,
                status=Status.PROCESSING,
                updated_at=now,
                claimed_at=payment.claimed_at or now,
                attempt=attempt,
            )
            claimed = replace(
                row,
                payment=processing,
                attempt=attempt,
                due_at=min(row.due_at, now),
                leased_until=now + lease,
                claimed_by=worker_id if worker_id in present else None,
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
                    payment.step,
                    payment.capture_amount,
                    *self._terms(payment),
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

    def settle(self, settlements: Sequence[Settlement], hold_for: timedelta) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for settlement in settlements:
            row = tables.payments.rows[settlement.payment_id]
            if not row.payment.status.open:
                raise StorageRefused("a settled payment is final")
            check_no_live_hold(tables, settlement)
            held = settlement.status is Status.AUTHORIZED
            payment = replace(
                row.payment,
                status=settlement.status,
                failure_reason=settlement.failure_reason,
                updated_at=now,
                fee=settlement.fee or 0,
                expires_at=now + hold_for if held else row.payment.expires_at,
            )
            retry_after = settlement.retry_after
            due_at = row.due_at if retry_after is None else now + retry_after
            settled = PaymentRow(payment, row.attempt, settlement.faults, due_at)
            tables.payments.put(settlement.payment_id, settled)

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        return self._find(Lookup(merchant_id, payment_id))

    def resolve(self, resolution: Resolution) -> Payment:
        return self._resolve(resolution, self.session.tables.clock.now())

    def _resolve(self, resolution: Resolution, now: datetime) -> Payment:
        tables = self.session.tables
        row = tables.payments.rows[resolution.payment_id]
        if row.payment.status is not Status.AUTHORIZED:
            raise StorageRefused("a statement gave no row")
        payment = replace(
            row.payment,
            status=Status.PROCESSING,
            step=resolution.step,
            capture_amount=resolution.amount,
            cancellation_reason=resolution.reason,
            attempt=row.attempt + 1,
            updated_at=now,
        )
        tables.payments.put(payment.id, PaymentRow(payment, row.attempt + 1, 0, now))
        return payment

    def expire(self, limit: int) -> Sequence[UUID]:
        tables = self.session.tables
        now = tables.clock.now()
        ended = sorted(
            (payment.expires_at, payment.id)
            for row in tables.payments.rows.values()
            if (payment := row.payment).status is Status.AUTHORIZED
            and payment.expires_at is not None
            and payment.expires_at <= now
        )[:limit]
        for _, id in ended:
            self._resolve(Resolution(id, Step.EXPIRE, reason=EXPIRED), now)
        return [id for _, id in ended]

    def hasten(self, payment_id: UUID) -> bool:
        tables = self.session.tables
        row = tables.payments.rows.get(payment_id)
        if row is None or not row.payment.status.open:
            return False
        due_at = min(row.due_at, tables.clock.now())
        hastened = replace(row, due_at=due_at, leased_until=None, claimed_by=None)
        tables.payments.put(payment_id, hastened)
        return True

    def _terms(self, payment: Payment) -> FeeTerms:
        agreed = self.session.tables.fees.rows.get((payment.merchant_id, payment.money.currency))
        return agreed.terms if agreed else FeeTerms()


def check_no_live_hold(tables: Tables, settlement: Settlement) -> None:
    """What ends with its money on hold: nobody would come again to let go of it."""
    hold = tables.holds.rows.get((settlement.payment_id, settlement.refund_id))
    if settlement.status.settled and hold and hold.live:
        raise StorageRefused("ended_holds_nothing")
