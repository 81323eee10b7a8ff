"""All about a payment, as `atomic payments show` tells it."""

from collections.abc import Mapping, Sequence

from atomic_core.domain.admin_queries import AdminRefund, WorkProgress
from atomic_core.domain.ledger import PostedTransaction
from atomic_core.domain.money import CURRENCY_EXPONENTS, Money, format_minor_units
from atomic_core.domain.payments import Payment, Status
from atomic_core.use_cases.admin_queries import PaymentDetails
from atomic_core.use_cases.timeline import TimelineEvent
from atomic_worker.commands.tables import facts, moment, money, table


def file_shown(file: PaymentDetails) -> str:
    payment = file.admin_payment.payment
    parts = [facts(_facts(payment, file.admin_payment.progress))]
    if file.refunds:
        headings = ("Refund", "Created", "Status", "Attempt", "Amount", "Currency", "Due", "Reason")
        rows = [_refund_row(each) for each in file.refunds]
        parts.append("Refunds\n" + table(headings, rows, right={"Attempt", "Amount"}))
    headings = ("At", "Event", "Status", "Attempt", "Amount", "Reason", "Refund", "Request")
    rows = [_told_row(told, payment.money.currency) for told in file.events]
    parts.append("Story\n" + table(headings, rows, right={"Attempt", "Amount"}))
    rows = [row for told in file.events for row in _entry_rows(told, payment.money.currency)]
    if rows:
        headings = ("Transaction", "Posted", "Account", "Entry", "Amount", "Currency")
        parts.append("Books\n" + table(headings, rows, right={"Entry", "Amount"}))
    return "\n\n".join(parts)


def described_file(file: PaymentDetails) -> Mapping[str, object]:
    return {
        **described(file.admin_payment.payment),
        **_progress(file.admin_payment.progress),
        "refunds": [_described_refund(each) for each in file.refunds],
        "events": [_described_told(told) for told in file.events],
    }


def described(payment: Payment) -> Mapping[str, object]:
    """But for the webhook's URL, which may hold a secret of the merchant's."""
    return {
        "id": payment.id,
        "merchantId": payment.merchant_id,
        "accountId": payment.account_id,
        **_money(payment.money),
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
        "requestId": payment.request_id,
        "createdAt": payment.created_at,
        "updatedAt": payment.updated_at,
        "claimedAt": payment.claimed_at,
        "expiresAt": payment.expires_at,
    }


def _facts(payment: Payment, progress: WorkProgress) -> Sequence[tuple[str, object]]:
    currency = payment.money.currency
    succeeded = payment.status is Status.SUCCESS
    due = progress if payment.status.is_open else None
    return [
        ("Payment", payment.id),
        ("Merchant", payment.merchant_id),
        ("Account", payment.account_id),
        ("Amount", money(payment.money.amount, currency)),
        ("Captured", money(payment.amount_captured, currency) if succeeded else None),
        ("Refunded", money(payment.amount_refunded, currency) if succeeded else None),
        ("Fee", money(payment.fee, currency) if payment.fee else None),
        ("Source", payment.source),
        ("Description", payment.description),
        ("Status", payment.status),
        ("Because", payment.failure_reason or payment.cancellation_reason),
        ("Capture", payment.capture),
        ("Step", payment.step),
        ("Attempts", payment.attempt),
        ("Faults", progress.faults),
        ("Due", due and moment(due.due_at)),
        ("Leased until", due and moment(due.leased_until)),
        ("Held until", moment(payment.expires_at)),
        ("Created", moment(payment.created_at)),
        ("Updated", moment(payment.updated_at)),
        *((f"Metadata {key}", value) for key, value in sorted(payment.metadata.items())),
    ]


def _refund_row(overseen: AdminRefund) -> tuple[object, ...]:
    refund, progress = overseen.refund, overseen.progress
    return (
        refund.id,
        moment(refund.created_at),
        refund.status,
        refund.attempt,
        format_minor_units(refund.money.amount, refund.money.currency),
        refund.money.currency,
        moment(progress.leased_until or progress.due_at) if refund.status.is_open else None,
        refund.failure_reason or refund.reason,
    )


def _told_row(told: TimelineEvent, currency: str) -> tuple[object, ...]:
    event = told.event
    return (
        moment(told.at),
        event.type,
        event.status,
        event.attempt,
        None if event.amount is None else format_minor_units(event.amount, currency),
        event.reason,
        event.refund_id,
        event.request_id,
    )


def _entry_rows(told: TimelineEvent, currency: str) -> Sequence[tuple[object, ...]]:
    if told.posted is None:
        return []
    transaction, entries = told.posted
    return [
        (
            transaction.id,
            moment(transaction.posted_at),
            entry.account_id,
            entry.sequence,
            format_minor_units(entry.amount, currency),
            currency,
        )
        for entry in entries
    ]


def _money(of: Money) -> Mapping[str, object]:
    return {"amount": of.amount, "currency": of.currency, "exponent": CURRENCY_EXPONENTS[of.currency]}


def _progress(progress: WorkProgress) -> Mapping[str, object]:
    return {
        "faults": progress.faults,
        "dueAt": progress.due_at,
        "leasedUntil": progress.leased_until,
    }


def _described_refund(overseen: AdminRefund) -> Mapping[str, object]:
    refund = overseen.refund
    return {
        "id": refund.id,
        **_money(refund.money),
        "reason": refund.reason,
        "status": refund.status,
        "attempt": refund.attempt,
        "failureReason": refund.failure_reason,
        "metadata": refund.metadata,
        "idempotencyKey": refund.idempotency_key,
        "requestId": refund.request_id,
        "createdAt": refund.created_at,
        "updatedAt": refund.updated_at,
        **_progress(overseen.progress),
    }


def _described_told(told: TimelineEvent) -> Mapping[str, object]:
    event = told.event
    return {
        "at": told.at,
        "event": event.type,
        "status": event.status,
        "refundId": event.refund_id,
        "attempt": event.attempt,
        "amount": event.amount,
        "reason": event.reason,
        "requestId": event.request_id,
        "transaction": told.posted and _described_transaction(told.posted),
    }


def _described_transaction(posted: PostedTransaction) -> Mapping[str, object]:
    return {
        "id": posted.transaction.id,
        "kind": posted.transaction.kind,
        "postedAt": posted.transaction.posted_at,
        "entries": [
            {"accountId": entry.account_id, "sequence": entry.sequence, "amount": entry.amount}
            for entry in posted.entries
        ],
    }
