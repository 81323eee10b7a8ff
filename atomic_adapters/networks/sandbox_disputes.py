"""The sandbox's disputes: the token of a payment decides what comes of it. The sandbox has no
memory: what it knows comes with each request."""

from datetime import timedelta
from typing import Final

from atomic_adapters.networks.sandbox import DISPUTED_SOURCES, build_dispute_reference
from atomic_core.domain.disputes import (
    CHECK_INTERVAL,
    Dispute,
    DisputeReport,
    DisputeRequest,
    DisputeStatus,
    DisputeVerdict,
    NetworkDispute,
)
from atomic_core.domain.payments import Payment

FEE: Final = 1_500
"""Minor units of any currency. Kept also if the dispute is won, as most networks do."""

REASON: Final = "fraudulent"

EVIDENCE_PERIOD: Final = timedelta(days=7)

DECISION_DELAY: Final = timedelta(seconds=2)
"""Between the opening and the decision of a dispute that decides itself, and between the evidence
and its decision."""

OUTCOMES: Final = {
    "tok_disputeWon": DisputeStatus.WON,
    "tok_disputeLost": DisputeStatus.LOST,
}
"""By token, of a dispute that decides itself. One of `tok_disputed` waits for a response."""

DECIDING_EVIDENCE: Final = {
    "winning_evidence": DisputeStatus.WON,
    "losing_evidence": DisputeStatus.LOST,
}
"""By a word of the evidence, as with other gateways. Other evidence stays under review."""

_NOT_FOUND: Final = DisputeReport(DisputeVerdict.NOT_FOUND)


class SandboxDisputes:
    def __init__(self, decision_delay: timedelta = DECISION_DELAY) -> None:
        self._decision_delay = decision_delay

    def look_up(self, request: DisputeRequest) -> DisputeReport:
        payment, dispute = request.payment, request.dispute
        if payment is None or payment.source not in DISPUTED_SOURCES:
            return _NOT_FOUND
        if dispute is None:
            return self._open(payment)
        return self._report(payment, dispute, _decide(payment, dispute))

    def submit_evidence(self, request: DisputeRequest) -> DisputeReport:
        return self._answer(request, DisputeStatus.UNDER_REVIEW)

    def accept(self, request: DisputeRequest) -> DisputeReport:
        return self._answer(request, DisputeStatus.LOST)

    def _answer(self, request: DisputeRequest, status: DisputeStatus) -> DisputeReport:
        if request.payment is None or request.dispute is None:
            return _NOT_FOUND
        return self._report(request.payment, request.dispute, status)

    def _open(self, payment: Payment) -> DisputeReport:
        # What has been refunded cannot be disputed any more.
        amount = payment.amount_captured - payment.refunds_reserved
        if amount < 1:
            return _NOT_FOUND
        return self._build_report(payment, DisputeStatus.NEEDS_RESPONSE, amount)

    def _report(self, payment: Payment, dispute: Dispute, status: DisputeStatus) -> DisputeReport:
        return self._build_report(payment, status, dispute.money.amount)

    def _build_report(self, payment: Payment, status: DisputeStatus, amount: int) -> DisputeReport:
        decides_itself = payment.source in OUTCOMES or status is DisputeStatus.UNDER_REVIEW
        return DisputeReport(
            DisputeVerdict.FOUND,
            NetworkDispute(
                build_dispute_reference(payment.id),
                payment.id,
                status,
                amount,
                payment.money.currency,
                FEE,
                0,
                REASON,
                payment.updated_at + EVIDENCE_PERIOD,
                self._decision_delay if decides_itself else CHECK_INTERVAL,
            ),
        )


def _decide(payment: Payment, dispute: Dispute) -> DisputeStatus:
    if dispute.status is DisputeStatus.UNDER_REVIEW:
        evidence = " ".join(dispute.evidence.get_texts().values()) if dispute.evidence else ""
        for word, status in DECIDING_EVIDENCE.items():
            if word in evidence:
                return status
    return OUTCOMES.get(payment.source, dispute.status)
