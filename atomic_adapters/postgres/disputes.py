"""Disputes in PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import text_array, uuid_array
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.payments import build_payment, encode_metadata
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.card_networks import MAX_FAULTS
from atomic_core.domain.disputes import Dispute, DisputeResponse, DisputeStatus, Evidence
from atomic_core.domain.lists import DisputeFilter, Position
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment

_SQL: Final = load_statements("disputes")


@dataclass(frozen=True, slots=True)
class PostgresDisputeRepository:
    session: DatabaseSession

    def lock_payment(self, payment_id: UUID) -> Payment | None:
        row = self.session.fetch_optional(_SQL["lock_disputed_payment"], payment_id=payment_id)
        return build_payment(row) if row else None

    def get_payment(self, payment_id: UUID) -> Payment | None:
        row = self.session.fetch_optional(_SQL["get_disputed_payment"], payment_id=payment_id)
        return build_payment(row) if row else None

    def add(self, dispute: Dispute, check_after: timedelta) -> Dispute:
        row = self.session.fetch_one(
            _SQL["insert_dispute"],
            id=dispute.id,
            merchant_id=dispute.merchant_id,
            payment_id=dispute.payment_id,
            account_id=dispute.account_id,
            network=dispute.network,
            network_reference=dispute.network_reference,
            status=dispute.status.value,
            amount=dispute.money.amount,
            currency=dispute.money.currency,
            fee=dispute.fee,
            reason=dispute.reason,
            evidence_due_at=dispute.evidence_due_at,
            due_after=check_after,
        )
        return _build_dispute(row)

    def get(self, merchant_id: UUID | None, dispute_id: UUID) -> Dispute | None:
        return self._find(_SQL["get_dispute"], id=dispute_id, merchant_id=merchant_id)

    def lock(self, merchant_id: UUID, dispute_id: UUID) -> Dispute | None:
        return self._find(_SQL["lock_dispute"], id=dispute_id, merchant_id=merchant_id)

    def lock_by_reference(self, network: str, reference: str) -> Dispute | None:
        return self._find(
            _SQL["lock_dispute_by_reference"], network=network, network_reference=reference
        )

    def claim(self, network: str, limit: int, lease: timedelta) -> Sequence[Dispute]:
        rows = self.session.fetch_all(
            _SQL["claim_disputes"], network=network, limit=limit, lease=lease
        )
        return [_build_dispute(row) for row in rows]

    def make_due(self, network: str, references: Iterable[str]) -> frozenset[str]:
        names = sorted(references)
        if not names:
            return frozenset()
        rows = self.session.fetch_all(
            _SQL["make_disputes_due"], network=network, references=text_array(names)
        )
        return frozenset(reference for (reference,) in rows)

    def update(self, dispute: Dispute, due_after: timedelta, faults: int = 0) -> Dispute:
        row = self.session.fetch_one(
            _SQL["update_dispute"],
            id=dispute.id,
            status=dispute.status.value,
            fee_returned=dispute.fee_returned,
            evidence_due_at=dispute.evidence_due_at,
            evidence=encode_metadata(dispute.evidence.get_texts() if dispute.evidence else {}),
            pending_response=dispute.pending_response and dispute.pending_response.value,
            response_failure=dispute.response_failure,
            faults=min(faults, MAX_FAULTS),
            is_final=dispute.status.is_final,
            due_after=due_after,
        )
        return _build_dispute(row)

    def sum_disputed(self, payment_id: UUID) -> int:
        [total] = self.session.fetch_one(_SQL["sum_disputed"], payment_id=payment_id)
        return total

    def list_exceeded(self, payment_ids: Iterable[UUID]) -> frozenset[UUID]:
        rows = self.session.fetch_all(
            _SQL["list_exceeded_payments"], payment_ids=uuid_array(list(payment_ids))
        )
        return frozenset(id for (id,) in rows)

    def list(
        self, merchant_id: UUID | None, filters: DisputeFilter, after: Position | None, limit: int
    ) -> Sequence[Dispute]:
        top = filters.get_start_position(after)
        parameters: dict[str, Any] = {
            "statuses": text_array([status.value for status in filters.statuses or DisputeStatus]),
            "created_from": filters.created_from,
            "top_at": top.created_at,
            "top_id": top.id,
            "limit": limit,
        }
        if filters.payment_id is not None:
            rows = self.session.fetch_all(
                _SQL["list_disputes_of_payment"],
                **parameters,
                merchant_id=merchant_id,
                payment_id=filters.payment_id,
            )
        elif merchant_id is None:
            rows = self.session.fetch_all(_SQL["list_all_disputes"], **parameters)
        else:
            rows = self.session.fetch_all(
                _SQL["list_disputes"], **parameters, merchant_id=merchant_id
            )
        return [_build_dispute(row) for row in rows]

    def count_open(self) -> Mapping[str, int]:
        return dict(self.session.fetch_all(_SQL["count_open_disputes"]))

    def _find(self, statement: bytes, **parameters: object) -> Dispute | None:
        row = self.session.fetch_optional(statement, **parameters)
        return _build_dispute(row) if row else None


def _build_dispute(row: Sequence[Any]) -> Dispute:
    """`row` has the columns of fragments/dispute_columns.sql."""
    id, merchant_id, payment_id, account_id, network, reference, amount, currency, *rest = row
    fee, reason, evidence_due_at, created_at, updated_at, status, fee_returned, *rest = rest
    evidence, pending_response, response_failure, closed_at, attempt, faults = rest
    return Dispute(
        id,
        merchant_id,
        payment_id,
        account_id,
        network,
        reference,
        Money(amount, currency),
        fee,
        reason,
        evidence_due_at,
        created_at,
        updated_at,
        DisputeStatus(status),
        fee_returned,
        Evidence(**evidence) if evidence else None,
        DisputeResponse(pending_response) if pending_response else None,
        response_failure,
        closed_at,
        attempt,
        faults,
    )
