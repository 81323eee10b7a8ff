"""Refunds in PostgreSQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import transpose
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.origins import build_origin, get_origin_columns
from atomic_adapters.postgres.payments import encode_metadata
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.postgres.work_items import (
    lock_claimed_items,
    renew_item_leases,
    request_item_inquiries,
    settle_items,
)
from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import DEFAULT_NETWORK, NetworkState
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment, Status, Step
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settlement import Claim, Settlement

_SQL: Final = load_statements("refunds")


@dataclass(frozen=True, slots=True)
class PostgresRefundRepository:
    session: DatabaseSession

    def add(self, id: UUID, payment: Payment, amount: int, new_refund: NewRefund) -> Refund:
        row = self.session.fetch_one(
            _SQL["insert_refund"],
            id=id,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            account_id=payment.account_id,
            currency=payment.money.currency,
            amount=amount,
            reason=new_refund.reason,
            metadata=encode_metadata(new_refund.metadata),
            idempotency_key=new_refund.idempotency_key,
            **get_origin_columns(new_refund.origin)._asdict(),
        )
        return build_refund(row)

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        row = self.session.fetch_optional(_SQL["get_refund"], id=refund_id, merchant_id=merchant_id)
        return build_refund(row) if row else None

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        rows = self.session.fetch_all(
            _SQL["list_refunds_by_payment"], payment_id=payment_id, limit=limit
        )
        return [build_refund(row) for row in rows]

    def claim(
        self,
        limit: int,
        lease: timedelta,
        overdue_by: timedelta,
        worker_id: int | None = None,
        network: str = DEFAULT_NETWORK,
    ) -> Sequence[Claim]:
        rows = self.session.fetch_all(
            _SQL["claim_refunds"],
            limit=limit,
            lease=lease,
            overdue_by=overdue_by,
            worker_id=worker_id,
            network=network,
        )
        return [_build_claim(row) for row in rows]

    def claim_unresolved(self, refund_id: UUID, lease: timedelta) -> Claim | None:
        self.session.fetch_optional(_SQL["lock_payment_of_refund"], id=refund_id)
        row = self.session.fetch_optional(
            _SQL["claim_unresolved_refund"], id=refund_id, lease=lease
        )
        return _build_claim(row) if row else None

    def renew_leases(self, claims: Sequence[Claim], lease: timedelta) -> None:
        ids = (claim.id for claim in claims)
        renew_item_leases(self.session, _SQL["renew_refund_leases"], ids, claims, lease)

    def lock_claims(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        self.session.fetch_all(
            _SQL["lock_refunded_payments"], ids=list({claim.payment_id for claim in claims})
        )
        ids = (claim.id for claim in claims)
        return lock_claimed_items(self.session, _SQL["lock_claimed_refunds"], ids, claims)

    def list_reserved(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        rows = self.session.fetch_all(_SQL["list_reserved_refunds"], ids=list(ids))
        return frozenset(id for (id,) in rows)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        if settlements:
            columns = transpose(settlements)
            settle_items(self.session, _SQL["settle_refunds"], columns.refund_id, columns)

    def request_inquiries(self, ids: Iterable[UUID], network: str) -> frozenset[UUID]:
        return request_item_inquiries(self.session, _SQL["request_refund_inquiries"], ids, network)

    def report_doubts(self, alarm: timedelta, limit: int) -> Sequence[UnresolvedStep]:
        return self.session.fetch_all_as(
            UnresolvedStep, _SQL["report_refund_doubts"], alarm=alarm, limit=limit
        )

    def make_due(self, refund_id: UUID) -> bool:
        return self.session.execute(_SQL["make_refund_due"], id=refund_id) == 1


def _build_claim(row: Sequence[Any]) -> Claim:
    *rest, key_generation, sent_for, network_reference, is_taken_over, is_reserved = row
    *columns, refund_id, network_state, unresolved_for = rest
    return Claim(
        *columns,
        step=Step.REFUND,
        network_state=network_state,
        unresolved_for=unresolved_for,
        network_reference=network_reference,
        key_generation=key_generation,
        sent_for=sent_for,
        is_taken_over=is_taken_over,
        refund_id=refund_id,
        reserved=is_reserved,
    )


def build_refund(row: Sequence[Any]) -> Refund:
    """`row` has the columns of fragments/refund_columns.sql."""
    id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status, *rest = row
    failure_reason, idempotency_key, created_at, updated_at, claimed_at, attempt, *rest = rest
    network_state, unresolved_since, network_reference, *origin = rest
    return Refund(
        id,
        payment_id,
        merchant_id,
        account_id,
        Money(amount, currency),
        reason,
        metadata or {},
        Status(status),
        failure_reason,
        idempotency_key,
        created_at,
        updated_at,
        build_origin(*origin),
        claimed_at,
        attempt,
        NetworkState(network_state) if network_state else None,
        unresolved_since,
        network_reference,
    )
