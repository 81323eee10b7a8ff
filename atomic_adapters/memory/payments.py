"""Payments in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from atomic_adapters.memory.idempotency import keep, live_row
from atomic_adapters.memory.ledger import MemoryAccounts
from atomic_adapters.memory.merchants import MemoryMerchants
from atomic_adapters.memory.table import PaymentRow, Session
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.payments import (
    Acceptance,
    Accepted,
    Claim,
    Lookup,
    Payment,
    Settlement,
    Status,
)


@dataclass(frozen=True, slots=True)
class MemoryPayments:
    session: Session

    def accept(
        self,
        acceptances: Sequence[Acceptance],
        patience: timedelta | None = None,  # noqa: ARG002  no two calls are under way at once
    ) -> Sequence[Accepted | None]:
        return [self._accept(acceptance) for acceptance in acceptances]

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        return [self._find(lookup) for lookup in lookups]

    def _accept(self, acceptance: Acceptance) -> Accepted | None:
        tables = self.session.tables
        order = acceptance.order
        account_id = MemoryAccounts(self.session).credited(order.merchant_id, order.money.currency)
        if account_id is None or not self._allows(acceptance.key_id):
            return None
        if acceptance.payment_id in tables.payments.rows:
            raise StorageRefused("payments_pkey")
        if acceptance.record is None:
            now = tables.clock.now()
        elif live_row(tables, acceptance.record[0]) is None:
            now = keep(tables, *acceptance.record)
        else:
            return None
        accepted = Accepted(account_id, now)
        row = PaymentRow(acceptance.recorded(accepted), attempt=0, faults=0, due_at=now)
        tables.payments.put(acceptance.payment_id, row)
        return accepted

    def _find(self, lookup: Lookup) -> Payment | None:
        row = self.session.tables.payments.rows.get(lookup.payment_id)
        if row is None or row.payment.merchant_id != lookup.merchant_id:
            return None
        return row.payment if self._allows(lookup.key_id) else None

    def _allows(self, key_id: UUID | None) -> bool:
        return key_id is None or MemoryMerchants(self.session).is_active(key_id)

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, claimant: int | None = None
    ) -> Sequence[Claim]:
        tables = self.session.tables
        now = tables.clock.now()
        present = tables.claimants
        due = sorted(
            (
                row
                for row in tables.payments.rows.values()
                if not row.payment.status.settled
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
            processing = replace(payment, status=Status.PROCESSING, updated_at=now)
            claimed = replace(
                row,
                payment=processing,
                attempt=attempt,
                due_at=min(row.due_at, now),
                leased_until=now + lease,
                claimed_by=claimant if claimant in present else None,
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
