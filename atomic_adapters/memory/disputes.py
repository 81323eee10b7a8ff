"""Disputes in memory, with the checks of PostgreSQL's constraints and triggers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter
from uuid import UUID

from atomic_adapters.memory.tables import DisputeRow, MemorySession
from atomic_core.domain.disputes import Dispute, DisputeStatus
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.lists import DisputeFilter, Position
from atomic_core.domain.payments import Payment, Status


@dataclass(frozen=True, slots=True)
class MemoryDisputeRepository:
    session: MemorySession

    def lock_payment(self, payment_id: UUID) -> Payment | None:
        return self.get_payment(payment_id)

    def get_payment(self, payment_id: UUID) -> Payment | None:
        row = self.session.tables.payments.rows.get(payment_id)
        return row.item if row else None

    def add(self, dispute: Dispute, check_after: timedelta) -> Dispute:
        tables = self.session.tables
        if self._find(dispute.network, dispute.network_reference):
            raise StorageRefused("disputes_once_per_reference")
        if dispute.status is not DisputeStatus.NEEDS_RESPONSE or dispute.fee < 0:
            raise StorageRefused("disputes_begin, disputes_fee_check")
        payment = self.get_payment(dispute.payment_id)
        disputed = self.sum_disputed(dispute.payment_id) + dispute.money.amount
        expected = payment and (
            *(payment.status, payment.merchant_id, payment.account_id, payment.network),
            payment.money.currency,
        )
        owners = (dispute.merchant_id, dispute.account_id, dispute.network)
        found = (Status.SUCCESS, *owners, dispute.money.currency)
        if payment is None or expected != found or disputed > payment.amount_captured:
            raise StorageRefused("disputes_of_payment")
        now = tables.clock.now()
        stored = replace(dispute, created_at=now, updated_at=now)
        tables.disputes.put(dispute.id, DisputeRow(stored, now + check_after))
        return stored

    def get(self, merchant_id: UUID | None, dispute_id: UUID) -> Dispute | None:
        row = self.session.tables.disputes.rows.get(dispute_id)
        is_found = row and merchant_id in (None, row.dispute.merchant_id)
        return row.dispute if row and is_found else None

    def lock(self, merchant_id: UUID, dispute_id: UUID) -> Dispute | None:
        return self.get(merchant_id, dispute_id)

    def lock_by_reference(self, network: str, reference: str) -> Dispute | None:
        row = self._find(network, reference)
        return row.dispute if row else None

    def claim(self, network: str, limit: int, lease: timedelta) -> Sequence[Dispute]:
        tables = self.session.tables
        now = tables.clock.now()
        due = sorted(
            (
                (row.due_at, row.dispute.id, row.dispute)
                for row in tables.disputes.rows.values()
                if row.dispute.network == network and row.due_at and row.due_at <= now
            ),
            key=itemgetter(0, 1),
        )
        claimed = [replace(dispute, attempt=dispute.attempt + 1) for *_, dispute in due[:limit]]
        for dispute in claimed:
            tables.disputes.put(dispute.id, DisputeRow(dispute, now + lease))
        return claimed

    def make_due(self, network: str, references: Iterable[str]) -> frozenset[str]:
        tables = self.session.tables
        found = [(name, row) for name in references if (row := self._find(network, name))]
        for _, row in found:
            if row.due_at:
                due_at = min(row.due_at, tables.clock.now())
                tables.disputes.put(row.dispute.id, replace(row, due_at=due_at))
        return frozenset(name for name, _ in found)

    def update(self, dispute: Dispute, due_after: timedelta, faults: int = 0) -> Dispute:
        tables = self.session.tables
        old = tables.disputes.rows[dispute.id].dispute
        goes_back = (old.status, dispute.status) == (
            DisputeStatus.UNDER_REVIEW,
            DisputeStatus.NEEDS_RESPONSE,
        )
        if old.status.is_final or goes_back or _get_identity(old) != _get_identity(dispute):
            raise StorageRefused("disputes_follow_their_states")
        is_won = dispute.status is DisputeStatus.WON
        if not 0 <= dispute.fee_returned <= (dispute.fee if is_won else 0):
            raise StorageRefused("disputes_fee_returned_of_won")
        if dispute.pending_response and dispute.status is not DisputeStatus.NEEDS_RESPONSE:
            raise StorageRefused("disputes_answered_while_open")
        now, is_final = tables.clock.now(), dispute.status.is_final
        closed_at: datetime | None = now if is_final else None
        stored = replace(dispute, updated_at=now, closed_at=closed_at, faults=faults)
        tables.disputes.put(dispute.id, DisputeRow(stored, None if is_final else now + due_after))
        return stored

    def sum_disputed(self, payment_id: UUID) -> int:
        return sum(
            row.dispute.money.amount
            for row in self.session.tables.disputes.rows.values()
            if row.dispute.payment_id == payment_id and row.dispute.status is not DisputeStatus.WON
        )

    def list_exceeded(self, payment_ids: Iterable[UUID]) -> frozenset[UUID]:
        payments = self.session.tables.payments.rows
        return frozenset(
            id
            for id in payment_ids
            if (disputed := self.sum_disputed(id))
            and payments[id].item.refunds_reserved + disputed > payments[id].item.amount_captured
        )

    def list(
        self, merchant_id: UUID | None, filters: DisputeFilter, after: Position | None, limit: int
    ) -> Sequence[Dispute]:
        top = filters.get_start_position(after)
        page = [
            row.dispute
            for row in self.session.tables.disputes.rows.values()
            if merchant_id in (None, row.dispute.merchant_id)
            and row.dispute.status in (filters.statuses or DisputeStatus)
            and filters.payment_id in (None, row.dispute.payment_id)
            and row.dispute.created_at >= filters.created_from
            and _get_position(row.dispute) < top
        ]
        return sorted(page, key=_get_position, reverse=True)[:limit]

    def count_open(self) -> Mapping[str, int]:
        rows = self.session.tables.disputes.rows.values()
        return Counter(row.dispute.status.value for row in rows if row.due_at)

    def _find(self, network: str, reference: str) -> DisputeRow | None:
        for row in self.session.tables.disputes.rows.values():
            if (row.dispute.network, row.dispute.network_reference) == (network, reference):
                return row
        return None


def _get_position(dispute: Dispute) -> Position:
    return Position(dispute.created_at, dispute.id)


def _get_identity(dispute: Dispute) -> tuple[object, ...]:
    return (
        *(dispute.merchant_id, dispute.payment_id, dispute.account_id, dispute.network),
        *(dispute.network_reference, dispute.money, dispute.fee, dispute.reason),
        dispute.created_at,
    )
