"""Stripe's disputes: looked up, contested with evidence, and closed."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import stripe

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe.amounts import from_stripe_amount
from atomic_adapters.networks.stripe.errors import (
    ACCOUNT_CODES,
    REFUSED_BEFORE_PROCESSING,
    get_code,
    is_refusal,
)
from atomic_adapters.networks.stripe.fields import read_number, read_text
from atomic_adapters.networks.stripe.http_client import StripeHttpClient, time_limit
from atomic_adapters.networks.stripe.requests import PAYMENT
from atomic_core.domain.disputes import (
    Dispute,
    DisputeReport,
    DisputeRequest,
    DisputeStatus,
    DisputeVerdict,
    NetworkDispute,
)

STATUSES: Final[Mapping[str, DisputeStatus]] = {
    "needs_response": DisputeStatus.NEEDS_RESPONSE,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""The others are inquiries, which move no money unless they become disputes."""

EVIDENCE_NAMES: Final[Mapping[str, str]] = {
    "explanation": "uncategorized_text",
    "product_description": "product_description",
    "customer_name": "customer_name",
    "customer_email": "customer_email_address",
    "shipping_carrier": "shipping_carrier",
    "shipping_tracking_number": "shipping_tracking_number",
    "shipping_date": "shipping_date",
    "service_date": "service_date",
    "refund_policy": "refund_policy_disclosure",
    "access_activity_log": "access_activity_log",
}

NOT_FOUND: Final = DisputeReport(DisputeVerdict.NOT_FOUND)
PENDING: Final = DisputeReport(DisputeVerdict.PENDING)
REFUSED: Final = DisputeReport(DisputeVerdict.REFUSED)
UNKNOWN: Final = DisputeReport(DisputeVerdict.UNKNOWN)

T = TypeVar("T")


class StripeDisputes:
    """Connects at first use."""

    def __init__(self, settings: StripeSettings) -> None:
        stripe.enable_telemetry = False
        self._http_client = StripeHttpClient(1)
        self._client = stripe.StripeClient(
            settings.secret_key,
            http_client=self._http_client,
            base_addresses={"api": settings.api_base},
            max_network_retries=0,
        )
        self._seconds = settings.timeout.total_seconds()

    def look_up(self, request: DisputeRequest) -> DisputeReport:
        try:
            found = self._request(
                lambda: self._client.v1.disputes.retrieve(
                    request.reference, {"expand": ["payment_intent"]}
                )
            )
        except stripe.InvalidRequestError as error:
            return NOT_FOUND if get_code(error) == "resource_missing" else UNKNOWN
        except stripe.StripeError:
            return UNKNOWN
        return build_report(found)

    def submit_evidence(self, request: DisputeRequest) -> DisputeReport:
        return self._respond(
            request,
            lambda dispute: self._client.v1.disputes.update(
                request.reference,
                {"evidence": _build_evidence(dispute), "submit": True},  # pyright: ignore[reportArgumentType]
                {"idempotency_key": _build_key(dispute)},
            ),
        )

    def accept(self, request: DisputeRequest) -> DisputeReport:
        return self._respond(
            request,
            lambda dispute: self._client.v1.disputes.close(
                request.reference, {}, {"idempotency_key": _build_key(dispute)}
            ),
        )

    def close(self) -> None:
        self._http_client.close()

    def _respond(
        self, request: DisputeRequest, respond: Callable[[Dispute], object]
    ) -> DisputeReport:
        """Only while Stripe waits for a response: an answer that was lost is not sent again."""
        report = self.look_up(request)
        if request.dispute is None or not _needs_response(report):
            return report
        dispute = request.dispute
        try:
            self._request(lambda: respond(dispute))
        except stripe.StripeError as error:
            if not _is_final_refusal(error):
                return UNKNOWN
            report = self.look_up(request)
            return REFUSED if _needs_response(report) else report
        report = self.look_up(request)
        # Stripe has it and does not show it yet.
        return UNKNOWN if _needs_response(report) else report

    def _request(self, request: Callable[[], T]) -> T:
        with time_limit(time.monotonic() + self._seconds):
            return request()


def build_report(found: object) -> DisputeReport:
    """From a dispute with its PaymentIntent. Every field is optional: what is missing or unheard of
    is no verdict."""
    status = read_text(found, "status")
    payment_id = _read_id(getattr(found, "payment_intent", None))
    if status is None:
        return UNKNOWN
    if status not in STATUSES or payment_id is None:
        # An inquiry, or of another program that uses the account.
        return NOT_FOUND
    transactions: list[Any] = list(getattr(found, "balance_transactions", None) or [])
    if not transactions:
        # Without a withdrawal it can still come to one.
        return NOT_FOUND if STATUSES[status].is_final else PENDING
    reference, currency = read_text(found, "id"), (read_text(found, "currency") or "").upper()
    amount = from_stripe_amount(read_number(found, "amount") or 0, currency)
    fees = [
        read_number(transaction, "fee") or 0
        for transaction in transactions
        # A fee in another currency cannot be debited from the payment's account.
        if (read_text(transaction, "currency") or "").upper() == currency
    ]
    fee = from_stripe_amount(sum(max(0, fee) for fee in fees), currency)
    fee_returned = from_stripe_amount(sum(max(0, -fee) for fee in fees), currency)
    if reference is None or not amount or fee is None or fee_returned is None:
        return UNKNOWN
    due_by = read_number(getattr(found, "evidence_details", None), "due_by")
    dispute = NetworkDispute(
        reference,
        payment_id,
        STATUSES[status],
        amount,
        currency,
        fee,
        fee_returned,
        read_text(found, "reason") or "general",
        datetime.fromtimestamp(due_by, UTC) if due_by else None,
    )
    return DisputeReport(DisputeVerdict.FOUND, dispute)


def _needs_response(report: DisputeReport) -> bool:
    found = report.dispute
    return found is not None and found.status is DisputeStatus.NEEDS_RESPONSE


def _is_final_refusal(error: stripe.StripeError) -> bool:
    """Whether Stripe refuses this response, and not the account or the moment."""
    return (
        is_refusal(error)
        and error.http_status not in REFUSED_BEFORE_PROCESSING
        and get_code(error) not in ACCOUNT_CODES
    )


def _build_evidence(dispute: Dispute) -> dict[str, str]:
    texts = dispute.evidence.get_texts() if dispute.evidence else {}
    return {EVIDENCE_NAMES[name]: text for name, text in texts.items()}


def _build_key(dispute: Dispute) -> str:
    """The same for each repetition of a response, and another one for another response."""
    content = json.dumps([dispute.pending_response, dispute.evidence], sort_keys=True)
    return f"{dispute.id}:{hashlib.sha256(content.encode()).hexdigest()}"


def _read_id(intent: object) -> UUID | None:
    with suppress(ValueError):
        return UUID(read_text(intent, "metadata", PAYMENT) or "")
    return None
