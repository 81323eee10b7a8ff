"""The output of `atomic payments show`."""

from collections.abc import Mapping, Sequence

from atomic_core.domain.admin_queries import AdminRefund, WorkProgress
from atomic_core.domain.ledger import PostedTransaction
from atomic_core.domain.money import CURRENCY_EXPONENTS, Money, format_minor_units
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import Refund
from atomic_core.use_cases.admin_queries import PaymentDetails
from atomic_core.use_cases.timeline import TimelineEvent
from atomic_worker.commands.tables import format_money, format_time, render_fields, render_table


def render_payment_details(details: PaymentDetails) -> str:
    payment = details.admin_payment.payment
    sections = [render_fields(_build_fields(payment, details.admin_payment.progress))]
    if details.refunds:
        headings = (
            *("Refund", "Created", "Status", "Attempt", "Amount", "Currency", "Due"),
            *("Network", "Reason"),
        )
        rows = [_build_refund_row(refund) for refund in details.refunds]
        sections.append("Refunds\n" + render_table(headings, rows, right={"Attempt", "Amount"}))
    headings = (
        *("At", "Event", "Status", "Attempt", "Amount", "Reason", "Refund", "Dispute"),
        *("Actor", "Client", "Request", "Server request"),
    )
    rows = [_build_event_row(event, payment.money.currency) for event in details.events]
    sections.append("Timeline\n" + render_table(headings, rows, right={"Attempt", "Amount"}))
    rows = [
        row for event in details.events for row in _build_entry_rows(event, payment.money.currency)
    ]
    if rows:
        headings = ("Transaction", "Posted", "Account", "Entry", "Amount", "Currency")
        sections.append(
            "Ledger entries\n" + render_table(headings, rows, right={"Entry", "Amount"})
        )
    return "\n\n".join(sections)


def payment_details_to_json(details: PaymentDetails) -> Mapping[str, object]:
    return {
        **payment_to_json(details.admin_payment.payment),
        **_progress_to_json(details.admin_payment.progress),
        "refunds": [_admin_refund_to_json(refund) for refund in details.refunds],
        "events": [_event_to_json(event) for event in details.events],
    }


def payment_to_json(payment: Payment) -> Mapping[str, object]:
    """Without the webhook URL, which may contain a secret of the merchant."""
    return {
        "id": payment.id,
        "merchantId": payment.merchant_id,
        "accountId": payment.account_id,
        **_money_to_json(payment.money),
        "source": payment.source,
        "description": payment.description,
        "capture": payment.capture,
        "status": payment.status,
        "step": payment.step,
        "attempt": payment.attempt,
        "failureReason": payment.failure_reason,
        "cancellationReason": payment.cancellation_reason,
        "amountCaptured": payment.amount_captured,
        "amountRefunded": payment.amount_refunded,
        "fee": payment.fee,
        "metadata": payment.metadata,
        "idempotencyKey": payment.idempotency_key,
        **_origin_to_json(payment.origin),
        "createdAt": payment.created_at,
        "updatedAt": payment.updated_at,
        "claimedAt": payment.claimed_at,
        "expiresAt": payment.held_until,
        "networkReference": payment.network_reference,
        "networkState": payment.network_state,
        "unresolvedSince": payment.unresolved_since,
    }


def _build_fields(payment: Payment, progress: WorkProgress) -> Sequence[tuple[str, object]]:
    currency = payment.money.currency
    actor, address, request_id, server_request_id = _build_origin_cells(payment.origin)
    succeeded = payment.status is Status.SUCCESS
    schedule = progress if payment.status.is_open else None
    return [
        ("Payment", payment.id),
        ("Merchant", payment.merchant_id),
        ("Account", payment.account_id),
        ("Amount", format_money(payment.money.amount, currency)),
        ("Captured", format_money(payment.amount_captured, currency) if succeeded else None),
        ("Refunded", format_money(payment.amount_refunded, currency) if succeeded else None),
        ("Fee", format_money(payment.fee, currency) if payment.fee else None),
        ("Source", payment.source),
        ("Description", payment.description),
        ("Status", payment.status),
        ("Reason", payment.failure_reason or payment.cancellation_reason),
        ("Capture", payment.capture),
        ("Step", payment.step),
        ("Attempts", payment.attempt),
        ("Network reference", payment.network_reference),
        ("Network", payment.network_state),
        ("Unresolved since", format_time(payment.unresolved_since)),
        ("Faults", progress.faults),
        ("Due", schedule and format_time(schedule.due_at)),
        ("Leased until", schedule and format_time(schedule.leased_until)),
        ("Held until", format_time(payment.held_until)),
        ("Created", format_time(payment.created_at)),
        ("Created by", actor),
        ("Client", address),
        ("Request", request_id),
        ("Server request", server_request_id),
        ("Updated", format_time(payment.updated_at)),
        *((f"Metadata {key}", value) for key, value in sorted(payment.metadata.items())),
    ]


def _build_refund_row(admin_refund: AdminRefund) -> tuple[object, ...]:
    refund, progress = admin_refund.refund, admin_refund.progress
    return (
        refund.id,
        format_time(refund.created_at),
        refund.status,
        refund.attempt,
        format_minor_units(refund.money.amount, refund.money.currency),
        refund.money.currency,
        format_time(progress.leased_until or progress.due_at) if refund.status.is_open else None,
        refund.network_state,
        refund.failure_reason or refund.reason,
    )


def _build_event_row(timeline_event: TimelineEvent, currency: str) -> tuple[object, ...]:
    event = timeline_event.event
    return (
        format_time(timeline_event.at),
        event.type.timeline_name,
        timeline_event.status,
        event.attempt,
        None if event.amount is None else format_minor_units(event.amount, currency),
        event.reason,
        event.refund_id,
        timeline_event.dispute_id,
        *_build_origin_cells(event.origin),
    )


def _build_origin_cells(origin: Origin | None) -> tuple[object, object, object, object]:
    """The actor, the client's address, the X-Request-Id, and the server's request id."""
    if origin is None:
        return None, None, None, None
    name = origin.actor_id or origin.operator
    actor = f"{origin.actor} {name}" if name else origin.actor
    return actor, origin.address, origin.request_id, origin.server_request_id


def _build_entry_rows(event: TimelineEvent, currency: str) -> Sequence[tuple[object, ...]]:
    if event.posted is None:
        return []
    transaction, entries = event.posted
    return [
        (
            transaction.id,
            format_time(transaction.posted_at),
            entry.account_id,
            entry.sequence,
            format_minor_units(entry.amount, currency),
            currency,
        )
        for entry in entries
    ]


def _money_to_json(money: Money) -> Mapping[str, object]:
    exponent = CURRENCY_EXPONENTS[money.currency]
    return {"amount": money.amount, "currency": money.currency, "exponent": exponent}


def _origin_to_json(origin: Origin | None) -> Mapping[str, object]:
    return {
        "actor": origin and origin.actor,
        "actorId": origin and origin.actor_id,
        "operator": origin and origin.operator,
        "clientAddress": origin and origin.address,
        "requestId": origin and origin.request_id,
        "serverRequestId": origin and origin.server_request_id,
    }


def _progress_to_json(progress: WorkProgress) -> Mapping[str, object]:
    return {
        "faults": progress.faults,
        "dueAt": progress.due_at,
        "leasedUntil": progress.leased_until,
    }


def _admin_refund_to_json(admin_refund: AdminRefund) -> Mapping[str, object]:
    return {
        **refund_to_json(admin_refund.refund),
        **_progress_to_json(admin_refund.progress),
    }


def refund_to_json(refund: Refund) -> Mapping[str, object]:
    return {
        "id": refund.id,
        "paymentId": refund.payment_id,
        **_money_to_json(refund.money),
        "reason": refund.reason,
        "status": refund.status,
        "attempt": refund.attempt,
        "failureReason": refund.failure_reason,
        "metadata": refund.metadata,
        "idempotencyKey": refund.idempotency_key,
        **_origin_to_json(refund.origin),
        "createdAt": refund.created_at,
        "updatedAt": refund.updated_at,
    }


def _event_to_json(timeline_event: TimelineEvent) -> Mapping[str, object]:
    event = timeline_event.event
    return {
        "at": timeline_event.at,
        "event": event.type.timeline_name,
        "status": timeline_event.status,
        "refundId": event.refund_id,
        "disputeId": timeline_event.dispute_id,
        "attempt": event.attempt,
        "amount": event.amount,
        "reason": event.reason,
        **_origin_to_json(event.origin),
        "transaction": timeline_event.posted and _transaction_to_json(timeline_event.posted),
    }


def _transaction_to_json(posted: PostedTransaction) -> Mapping[str, object]:
    return {
        "id": posted.transaction.id,
        "kind": posted.transaction.kind,
        "postedAt": posted.transaction.posted_at,
        "entries": [
            {"accountId": entry.account_id, "sequence": entry.sequence, "amount": entry.amount}
            for entry in posted.entries
        ],
    }
