"""Payments in PostgreSQL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    bigint_array,
    bytea_array,
    integer_array,
    interval_array,
    smallint_array,
    text_array,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.idempotency import waiting_for_keys
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import (
    EXPIRED,
    Capture,
    InsertedPayment,
    Lookup,
    Payment,
    PaymentInsert,
    Resolution,
    Status,
    Step,
)
from atomic_core.domain.settlement import Claim, Settlement

_SQL: Final = load_statements("payments")
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class PostgresPaymentRepository:
    session: DatabaseSession

    def accept(
        self, inserts: Sequence[PaymentInsert], patience: timedelta | None = None
    ) -> Sequence[InsertedPayment | None]:
        asked = _without_repeats(inserts)
        orders = [insert.order for insert in asked]
        records = [_record(insert) for insert in asked]
        with waiting_for_keys():
            rows = self.session.fetch_all(
                _SQL["insert_payments"],
                patience=f"{patience // _MILLISECOND}ms" if patience else None,
                ids=uuid_array(insert.payment_id for insert in asked),
                key_ids=uuid_array(insert.key_id for insert in asked),
                merchant_ids=uuid_array(order.merchant_id for order in orders),
                amounts=bigint_array(order.money.amount for order in orders),
                currencies=text_array(order.money.currency for order in orders),
                sources=text_array(order.source for order in orders),
                descriptions=text_array(order.description for order in orders),
                webhook_urls=text_array(order.webhook_url for order in orders),
                captures=text_array(order.capture for order in orders),
                metadata=text_array(encode_metadata(order.metadata) for order in orders),
                request_ids=text_array(order.request_id for order in orders),
                order_keys=text_array(order.idempotency_key for order in orders),
                keys=text_array(record.key for record in records),
                methods=text_array(record.method for record in records),
                paths=text_array(record.path for record in records),
                fingerprints=bytea_array(record.fingerprint for record in records),
                keeps_for=interval_array(record.keep_for for record in records),
                response_statuses=smallint_array(record.status for record in records),
                bodies=bytea_array(record.body for record in records),
                locations=text_array(record.location for record in records),
            )
        accepted = {id: InsertedPayment(account_id, at) for id, account_id, at in rows}
        return [accepted.get(insert.payment_id) for insert in inserts]

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        rows = self.session.fetch_all(
            _SQL["find_payments"],
            ids=uuid_array(lookup.payment_id for lookup in lookups),
            merchant_ids=uuid_array(lookup.merchant_id for lookup in lookups),
            key_ids=uuid_array(lookup.key_id for lookup in lookups),
        )
        found = {place: build_payment(row) for place, *row in rows}
        return [found.get(place) for place in range(1, len(lookups) + 1)]

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, worker_id: int | None = None
    ) -> Sequence[Claim]:
        rows = self.session.fetch_all(
            _SQL["claim_payments"],
            limit=limit,
            lease=lease,
            overdue_by=overdue_by,
            worker_id=worker_id,
        )
        return [Claim(*row) for row in rows]

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        rows = self.session.fetch_all(
            _SQL["lock_claimed_payments"],
            ids=uuid_array(claim.payment_id for claim in claims),
            attempts=integer_array(claim.attempt for claim in claims),
        )
        return frozenset(id for (id,) in rows)

    def settle(self, settlements: Sequence[Settlement], hold_for: timedelta) -> None:
        settled = self.session.execute(
            _SQL["settle_payments"],
            ids=uuid_array(settlement.payment_id for settlement in settlements),
            statuses=text_array(settlement.status for settlement in settlements),
            failure_reasons=text_array(settlement.failure_reason for settlement in settlements),
            faults=smallint_array(settlement.faults for settlement in settlements),
            retries_after=interval_array(settlement.retry_after for settlement in settlements),
            fees=bigint_array(settlement.fee for settlement in settlements),
            hold_for=hold_for,
        )
        if settled != len(settlements):
            raise StorageRefused(f"{settled} of {len(settlements)} payments could be settled")

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        row = self.session.fetch_optional(
            _SQL["lock_payment"], id=payment_id, merchant_id=merchant_id
        )
        return build_payment(row) if row else None

    def resolve(self, resolution: Resolution) -> Payment:
        row = self.session.fetch_one(
            _SQL["resolve_payment"],
            id=resolution.payment_id,
            step=resolution.step,
            amount=resolution.amount,
            reason=resolution.reason,
        )
        return build_payment(row)

    def expire(self, limit: int) -> Sequence[UUID]:
        rows = self.session.fetch_all(_SQL["expire_payments"], limit=limit, reason=EXPIRED)
        return [id for (id,) in rows]

    def hasten(self, payment_id: UUID) -> bool:
        return self.session.execute(_SQL["make_payment_due"], id=payment_id) == 1


class _Record(NamedTuple):
    key: str | None = None
    method: str | None = None
    path: str | None = None
    fingerprint: bytes | None = None
    keep_for: timedelta | None = None
    status: int | None = None
    body: bytes | None = None
    location: str | None = None


_NO_RECORD: Final = _Record()


def _record(insert: PaymentInsert) -> _Record:
    if insert.record is None:
        return _NO_RECORD
    request, answer = insert.record
    return _Record(
        request.key,
        request.method,
        request.path,
        request.fingerprint,
        request.keep_for,
        answer.status,
        answer.body,
        answer.location,
    )


def _without_repeats(inserts: Sequence[PaymentInsert]) -> Sequence[PaymentInsert]:
    """The first of those that share an Idempotency-Key: one statement cannot take a key twice."""
    asked: dict[object, PaymentInsert] = {}
    for insert in inserts:
        request = insert.record and insert.record[0]
        key = (request.merchant_id, request.key) if request else insert.payment_id
        asked.setdefault(key, insert)
    return list(asked.values())


def encode_metadata(metadata: Mapping[str, str]) -> str | None:
    """None for none: most have none, and an empty column costs nothing."""
    return json.dumps(metadata) if metadata else None


def build_payment(row: Sequence[Any]) -> Payment:
    id, merchant_id, account_id, amount, currency, source, description, status, *rest = row
    *told, capture, step, metadata, request_id, claimed_at, attempt, expires_at = rest[:-5]
    capture_amount, cancellation_reason, fee, reserved, refunded = rest[-5:]
    return Payment(
        id,
        merchant_id,
        account_id,
        Money(amount, currency),
        source,
        description,
        Status(status),
        *told,
        capture=Capture(capture),
        step=Step(step),
        metadata=metadata or {},
        request_id=request_id,
        claimed_at=claimed_at,
        attempt=attempt,
        expires_at=expires_at,
        capture_amount=capture_amount,
        cancellation_reason=cancellation_reason,
        fee=fee or 0,
        refunds_reserved=reserved or 0,
        amount_refunded=refunded or 0,
    )
