"""Payments in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from atomic_adapters.memory.idempotency import find_unexpired_row, store_response
from atomic_adapters.memory.ledger import MemoryAccountRepository
from atomic_adapters.memory.merchants import MemoryMerchantRepository
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
from atomic_core.domain.accounts import AccountStatus
from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import DEFAULT_NETWORK, NetworkState
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.payments import (
    REASON_EXPIRED,
    HoldResolution,
    InsertedPayment,
    Payment,
    PaymentInsert,
    PaymentLookup,
    Status,
    Step,
)
from atomic_core.domain.settlement import Claim, Settlement


@dataclass(frozen=True, slots=True)
class MemoryPaymentRepository:
    session: MemorySession

    def insert(
        self,
        inserts: Sequence[PaymentInsert],
        lock_timeout: timedelta | None = None,  # noqa: ARG002  calls are serial
    ) -> Sequence[InsertedPayment | None]:
        return [self._insert(insert) for insert in inserts]

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        return [self._find(lookup) for lookup in lookups]

    def _insert(self, insert: PaymentInsert) -> InsertedPayment | None:
        tables = self.session.tables
        order = insert.new_payment
        account = MemoryAccountRepository(self.session).get_default_account(
            order.merchant_id, order.money.currency
        )
        if account is None or account.status is not AccountStatus.OPEN:
            return None
        if not self._is_key_active(insert.key_id):
            return None
        account_id = account.id
        if insert.payment_id in tables.payments.rows:
            raise StorageRefused("payments_pkey")
        if insert.idempotency is None:
            now = tables.clock.now()
        elif find_unexpired_row(tables, insert.idempotency[0]) is None:
            request, response = insert.idempotency
            now = store_response(tables, request, response.with_account_id(account_id))
        else:
            return None
        merchant = tables.merchants.rows.get(order.merchant_id)
        own_network = merchant.network if merchant else None
        inserted = InsertedPayment(account_id, now, own_network or insert.network)
        row = WorkItemRow(insert.to_payment(inserted), attempt=0, faults=0, due_at=now)
        tables.payments.put(insert.payment_id, row)
        return inserted

    def _find(self, lookup: PaymentLookup) -> Payment | None:
        row = self.session.tables.payments.rows.get(lookup.payment_id)
        if row is None or row.item.merchant_id != lookup.merchant_id:
            return None
        return row.item if self._is_key_active(lookup.key_id) else None

    def _is_key_active(self, key_id: UUID | None) -> bool:
        return key_id is None or MemoryMerchantRepository(self.session).is_key_active(key_id)

    def claim(
        self,
        limit: int,
        lease: timedelta,
        overdue_by: timedelta,
        worker_id: int | None = None,
        network: str = DEFAULT_NETWORK,
    ) -> Sequence[Claim]:
        tables = self.session.tables
        rows = claim_items(
            tables,
            tables.payments,
            (row for row in tables.payments.rows.values() if row.item.network == network),
            limit,
            lease,
            overdue_by,
            worker_id,
        )
        return [self._build_claim(row) for row in rows]

    def claim_awaited(
        self, limit: int, lease: timedelta, network: str = DEFAULT_NETWORK
    ) -> Sequence[Claim]:
        tables = self.session.tables
        now = tables.clock.now()
        due = [
            row
            for row in tables.payments.rows.values()
            if row.item.status is Status.REQUIRES_ACTION
            and row.item.network == network
            and max(row.due_at, row.leased_until or row.due_at) <= now
        ]
        due.sort(key=lambda row: (row.due_at, row.item.id))
        claims: list[Claim] = []
        for row in due[:limit]:
            attempt = row.attempt + 1
            payment = replace(row.item, attempt=attempt, updated_at=now)
            claimed = replace(row, item=payment, attempt=attempt, leased_until=now + lease)
            tables.payments.put(payment.id, claimed)
            claim = self._build_claim(claimed)
            claims.append(
                claim._replace(network_state=NetworkState.REQUIRES_ACTION, unresolved_for=None)
            )
        return claims

    def lock_claims(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        return find_current_claims(self.session.tables.payments, claims)

    def claim_unresolved(self, payment_id: UUID, lease: timedelta) -> Claim | None:
        tables = self.session.tables
        row = claim_unresolved_item(tables, tables.payments, payment_id, lease)
        return self._build_claim(row) if row else None

    def renew_leases(self, claims: Sequence[Claim], lease: timedelta) -> None:
        tables = self.session.tables
        renew_item_leases(tables, tables.payments, claims, lease)

    def settle(self, settlements: Sequence[Settlement], hold_period: timedelta) -> None:
        tables = self.session.tables
        now = tables.clock.now()
        for settlement in settlements:
            changes: dict[str, object] = {"fee": settlement.fee or 0}
            if settlement.status is Status.AUTHORIZED:
                changes["expires_at"] = now + hold_period
            changes |= self._build_wait(settlement, now)
            if settlement.reversal_reason:
                changes["step"] = Step.REVERSE
            settle_item(tables, tables.payments, settlement, now, **changes)

    def _build_wait(self, settlement: Settlement, now: datetime) -> dict[str, object]:
        if settlement.status is not Status.REQUIRES_ACTION:
            return {"next_action": None}
        payment = self.session.tables.payments.rows[settlement.payment_id].item
        if settlement.wait is None:
            return {}
        # The customer's time does not begin again.
        expires_at = payment.expires_at or now + settlement.wait.period
        return {"next_action": settlement.wait.next_action, "expires_at": expires_at}

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        return self._find(PaymentLookup(merchant_id, payment_id))

    def resolve_hold(self, resolution: HoldResolution) -> Payment:
        return self._start_step(resolution, self.session.tables.clock.now())

    def _start_step(self, resolution: HoldResolution, now: datetime) -> Payment:
        tables = self.session.tables
        row = tables.payments.rows[resolution.payment_id]
        is_abandoned = resolution.step is Step.ABANDON
        expected = Status.REQUIRES_ACTION if is_abandoned else Status.AUTHORIZED
        if row.item.status is not expected:
            raise StorageRefused("the statement returned no row")
        payment = replace(
            row.item,
            status=Status.PROCESSING,
            step=resolution.step,
            capture_amount=resolution.amount,
            cancellation_reason=resolution.reason,
            attempt=row.attempt + 1,
            updated_at=now,
            next_action=None,
        )
        resolved = WorkItemRow(payment, row.attempt + 1, 0, now, key_generation=row.key_generation)
        tables.payments.put(payment.id, resolved)
        return payment

    def expire_holds(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        return self._end_waits(limit, Status.AUTHORIZED, Step.EXPIRE)

    def abandon_awaited(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        return self._end_waits(limit, Status.REQUIRES_ACTION, Step.ABANDON)

    def _end_waits(self, limit: int, status: Status, step: Step) -> Sequence[tuple[UUID, UUID]]:
        tables = self.session.tables
        now = tables.clock.now()
        expired = sorted(
            (payment.expires_at, payment.id)
            for row in tables.payments.rows.values()
            if (payment := row.item).status is status
            and payment.expires_at is not None
            and payment.expires_at <= now
        )[:limit]
        payments = [
            self._start_step(HoldResolution(id, step, reason=REASON_EXPIRED), now)
            for _, id in expired
        ]
        return [(payment.merchant_id, payment.id) for payment in payments]

    def request_inquiries(self, ids: Iterable[UUID], network: str) -> frozenset[UUID]:
        tables = self.session.tables
        payments = tables.payments.rows
        rows = [
            payments[id] for id in ids if id in payments and payments[id].item.network == network
        ]
        return request_item_inquiries(tables, tables.payments, rows)

    def report_doubts(self, alarm: timedelta, limit: int) -> Sequence[UnresolvedStep]:
        tables = self.session.tables
        return report_item_doubts(tables, tables.payments, alarm, limit)

    def make_due(self, payment_id: UUID) -> bool:
        tables = self.session.tables
        return make_item_due(tables, tables.payments, payment_id)

    def _build_claim(self, row: WorkItemRow[Payment]) -> Claim:
        payment = row.item
        schedule = self.session.tables.fees.rows.get((payment.merchant_id, payment.money.currency))
        return Claim(
            payment.id,
            row.attempt,
            row.faults,
            payment.merchant_id,
            payment.account_id,
            payment.money.amount,
            payment.money.currency,
            payment.source,
            payment.step,
            payment.capture_amount,
            *(schedule.terms if schedule else FeeTerms()),
            *describe_open_step(self.session.tables, row),
            row.reversal_reason,
            payment.network_reference,
            row.key_generation,
            measure_since_sent(self.session.tables, row),
            row.interrupted_lease is not None,
        )
