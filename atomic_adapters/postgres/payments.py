"""Payments in PostgreSQL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    Column,
    bigint_array,
    bytea_array,
    interval_array,
    smallint_array,
    text_array,
    transpose,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.idempotency import map_key_wait_timeout
from atomic_adapters.postgres.origins import build_origin, build_origin_arrays
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.postgres.work_items import (
    lock_claimed_items,
    renew_item_leases,
    request_item_inquiries,
    settle_items,
)
from atomic_core.domain.admin_queries import UnresolvedStep
from atomic_core.domain.card_networks import DEFAULT_NETWORK, NetworkState, NextAction
from atomic_core.domain.money import Money
from atomic_core.domain.payments import (
    REASON_EXPIRED,
    CaptureMethod,
    HoldResolution,
    InsertedPayment,
    Payment,
    PaymentInsert,
    PaymentLookup,
    Status,
    Step,
)
from atomic_core.domain.settlement import Claim, CustomerWait, Settlement

_SQL: Final = load_statements("payments")
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class PostgresPaymentRepository:
    session: DatabaseSession

    def insert(
        self, inserts: Sequence[PaymentInsert], lock_timeout: timedelta | None = None
    ) -> Sequence[InsertedPayment | None]:
        unique_inserts = _drop_repeated_keys(inserts)
        orders = [insert.new_payment for insert in unique_inserts]
        records = [_build_key_columns(insert) for insert in unique_inserts]
        with map_key_wait_timeout():
            rows = self.session.fetch_all(
                _SQL["insert_payments"],
                lock_timeout=f"{lock_timeout // _MILLISECOND}ms" if lock_timeout else None,
                ids=uuid_array([insert.payment_id for insert in unique_inserts]),
                key_ids=uuid_array([insert.key_id for insert in unique_inserts]),
                merchant_ids=uuid_array([order.merchant_id for order in orders]),
                amounts=bigint_array([order.money.amount for order in orders]),
                currencies=text_array([order.money.currency for order in orders]),
                sources=text_array([order.source for order in orders]),
                descriptions=text_array([order.description for order in orders]),
                webhook_urls=text_array([order.webhook_url for order in orders]),
                captures=text_array([order.capture for order in orders]),
                metadata=text_array([encode_metadata(order.metadata) for order in orders]),
                **build_origin_arrays([order.origin for order in orders]),
                payment_keys=text_array([order.idempotency_key for order in orders]),
                keys=text_array([record.key for record in records]),
                methods=text_array([record.method for record in records]),
                paths=text_array([record.path for record in records]),
                fingerprints=bytea_array([record.fingerprint for record in records]),
                retentions=interval_array([record.retention for record in records]),
                response_statuses=smallint_array([record.status for record in records]),
                bodies=bytea_array([record.body for record in records]),
                locations=text_array([record.location for record in records]),
                networks=text_array([insert.network for insert in unique_inserts]),
            )
        inserted = {id: InsertedPayment(*columns) for id, *columns in rows}
        return [inserted.get(insert.payment_id) for insert in inserts]

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        rows = self.session.fetch_all(
            _SQL["find_payments"],
            ids=uuid_array(lookup.payment_id for lookup in lookups),
            merchant_ids=uuid_array(lookup.merchant_id for lookup in lookups),
            key_ids=uuid_array(lookup.key_id for lookup in lookups),
        )
        payments_by_position = {position: build_payment(row) for position, *row in rows}
        return [payments_by_position.get(position) for position in range(1, len(lookups) + 1)]

    def claim(
        self,
        limit: int,
        lease: timedelta,
        overdue_by: timedelta,
        worker_id: int | None = None,
        network: str = DEFAULT_NETWORK,
    ) -> Sequence[Claim]:
        rows = self.session.fetch_all(
            _SQL["claim_payments"],
            limit=limit,
            lease=lease,
            overdue_by=overdue_by,
            worker_id=worker_id,
            network=network,
        )
        return [Claim(*row) for row in rows]

    def claim_awaited(
        self, limit: int, lease: timedelta, network: str = DEFAULT_NETWORK
    ) -> Sequence[Claim]:
        rows = self.session.fetch_all(
            _SQL["claim_awaited_payments"], limit=limit, lease=lease, network=network
        )
        return [Claim(*row) for row in rows]

    def lock_claims(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        ids = (claim.payment_id for claim in claims)
        return lock_claimed_items(self.session, _SQL["lock_claimed_payments"], ids, claims)

    def claim_unresolved(self, payment_id: UUID, lease: timedelta) -> Claim | None:
        row = self.session.fetch_optional(
            _SQL["claim_unresolved_payment"], id=payment_id, lease=lease
        )
        return Claim(*row) if row else None

    def renew_leases(self, claims: Sequence[Claim], lease: timedelta) -> None:
        ids = (claim.payment_id for claim in claims)
        renew_item_leases(self.session, _SQL["renew_payment_leases"], ids, claims, lease)

    def settle(self, settlements: Sequence[Settlement], hold_period: timedelta) -> None:
        if not settlements:
            return
        columns = transpose(settlements)
        settle_items(
            self.session,
            _SQL["settle_payments"],
            columns.payment_id,
            columns,
            fees=bigint_array(columns.fee),
            reversal_reasons=text_array(columns.reversal_reason),
            **_build_wait_columns(columns.wait),
            hold_period=hold_period,
        )

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        row = self.session.fetch_optional(
            _SQL["lock_payment"], id=payment_id, merchant_id=merchant_id
        )
        return build_payment(row) if row else None

    def resolve_hold(self, resolution: HoldResolution) -> Payment:
        row = self.session.fetch_one(
            _SQL["resolve_hold"],
            id=resolution.payment_id,
            step=resolution.step,
            amount=resolution.amount,
            reason=resolution.reason,
        )
        return build_payment(row)

    def expire_holds(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        rows = self.session.fetch_all(_SQL["expire_holds"], limit=limit, reason=REASON_EXPIRED)
        return [(merchant_id, id) for merchant_id, id in rows]

    def abandon_awaited(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        rows = self.session.fetch_all(_SQL["abandon_awaited"], limit=limit, reason=REASON_EXPIRED)
        return [(merchant_id, id) for merchant_id, id in rows]

    def request_inquiries(self, ids: Iterable[UUID], network: str) -> frozenset[UUID]:
        unique_ids = sorted(set(ids))
        busy = request_item_inquiries(
            self.session, _SQL["request_payment_inquiries"], unique_ids, network
        )
        if not unique_ids:
            return busy
        rows = self.session.fetch_all(
            _SQL["request_awaited_inquiries"], ids=unique_ids, network=network
        )
        return busy | {id for (id,) in rows}

    def report_doubts(self, alarm: timedelta, limit: int) -> Sequence[UnresolvedStep]:
        return self.session.fetch_all_as(
            UnresolvedStep, _SQL["report_payment_doubts"], alarm=alarm, limit=limit
        )

    def make_due(self, payment_id: UUID) -> bool:
        return self.session.execute(_SQL["make_payment_due"], id=payment_id) == 1


def _build_wait_columns(waits: Sequence[CustomerWait | None]) -> Mapping[str, Column]:
    """Empty for most batches, in which no payment waits for its customer: `unnest` fills them with
    NULL."""
    present = waits if any(waits) else ()
    actions = [wait.next_action if wait else None for wait in present]
    return {
        "action_types": text_array(action and action.type for action in actions),
        "action_urls": text_array(action and action.url for action in actions),
        "action_periods": interval_array(wait and wait.period for wait in present),
    }


class _KeyColumns(NamedTuple):
    """The columns of an Idempotency-Key's record; all None without a key."""

    key: str | None = None
    method: str | None = None
    path: str | None = None
    fingerprint: bytes | None = None
    retention: timedelta | None = None
    status: int | None = None
    body: bytes | None = None
    location: str | None = None


_NO_KEY: Final = _KeyColumns()


def _build_key_columns(insert: PaymentInsert) -> _KeyColumns:
    if insert.idempotency is None:
        return _NO_KEY
    request, response = insert.idempotency
    return _KeyColumns(
        request.key,
        request.method,
        request.path,
        request.fingerprint,
        request.retention,
        response.status,
        response.body,
        response.location,
    )


def _drop_repeated_keys(inserts: Sequence[PaymentInsert]) -> Sequence[PaymentInsert]:
    """Keep the first insert of each Idempotency-Key: one statement cannot insert a key twice."""
    inserts_by_key: dict[object, PaymentInsert] = {}
    for insert in inserts:
        request = insert.idempotency and insert.idempotency[0]
        key = (request.merchant_id, request.key) if request else insert.payment_id
        inserts_by_key.setdefault(key, insert)
    return list(inserts_by_key.values())


def encode_metadata(metadata: Mapping[str, str]) -> str | None:
    """NULL for empty metadata: most payments have none, and NULL takes no space."""
    return json.dumps(metadata) if metadata else None


def build_payment(row: Sequence[Any]) -> Payment:
    """`row` has the columns of fragments/payment_columns.sql."""
    (
        id,
        merchant_id,
        account_id,
        amount,
        currency,
        source,
        description,
        status,
        idempotency_key,
        webhook_url,
        failure_reason,
        created_at,
        updated_at,
        capture,
        step,
        metadata,
        claimed_at,
        attempt,
        expires_at,
        capture_amount,
        cancellation_reason,
        fee,
        refunds_reserved,
        amount_refunded,
        network_state,
        unresolved_since,
        network_reference,
        network,
        action_type,
        action_url,
        *origin,
    ) = row
    return Payment(
        id,
        merchant_id,
        account_id,
        Money(amount, currency),
        source,
        description,
        Status(status),
        idempotency_key,
        webhook_url,
        failure_reason,
        created_at,
        updated_at,
        CaptureMethod(capture),
        Step(step),
        metadata or {},
        build_origin(*origin),
        claimed_at,
        attempt,
        expires_at,
        capture_amount,
        cancellation_reason,
        fee or 0,
        refunds_reserved or 0,
        amount_refunded or 0,
        NetworkState(network_state) if network_state else None,
        unresolved_since,
        network_reference,
        network,
        NextAction(action_type, action_url) if action_type else None,
    )
