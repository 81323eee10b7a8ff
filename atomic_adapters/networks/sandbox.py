"""A test card network: the response depends on the payment's token, as with other gateways' test
tokens. No money moves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from atomic_core.domain.card_networks import REDIRECT, NetworkResponse, NextAction, Verdict
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim

_APPROVED: Final = NetworkResponse(Verdict.APPROVED)
_UNKNOWN: Final = NetworkResponse(Verdict.UNKNOWN)


def _decline(reason: str) -> NetworkResponse:
    return NetworkResponse(Verdict.DECLINED, reason)


AUTHORIZATION_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_chargeDeclined": _decline("card_declined"),
    "tok_chargeDeclinedInsufficientFunds": _decline("insufficient_funds"),
    "tok_chargeDeclinedExpiredCard": _decline("expired_card"),
    "tok_chargeDeclinedIncorrectCvc": _decline("incorrect_cvc"),
    "tok_chargeDeclinedProcessingError": _decline("processing_error"),
}
"""By token, for charges and authorizations. Any other token is approved."""

CAPTURE_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_captureDeclined": _decline("capture_declined"),
    "tok_captureProcessingError": _decline("processing_error"),
}
"""By token, for captures. The authorizations of these tokens are approved."""

VOID_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_voidDeclined": _decline("void_declined"),
}
"""By token, for voids. The authorizations of these tokens are approved."""

REFUND_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_refundDeclined": _decline("refund_declined"),
    "tok_refundProcessingError": _decline("processing_error"),
}
"""By token, for refunds. The charges of these tokens are approved."""

UNDECIDED_SOURCE: Final = "tok_slow"
"""PENDING until the third attempt at the latest, for every request."""

_DECIDING_ATTEMPT: Final = 3
"""Every third attempt is approved."""


def _respond_slowly(claim: Claim) -> NetworkResponse:
    # The attempt number stands in for a count of requests: it grows with every one.
    return NetworkResponse(Verdict.PENDING) if claim.attempt % _DECIDING_ATTEMPT else _APPROVED


def _lose_first_answer(claim: Claim) -> NetworkResponse:
    return _APPROVED if claim.faults else _UNKNOWN


ABANDONED_SOURCE: Final = "tok_threeDSecureAbandoned"

ACTION_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_threeDSecureRequired": _APPROVED,
    "tok_threeDSecureFailed": _decline("authentication_required"),
    ABANDONED_SOURCE: _UNKNOWN,
}
"""By token, for inquiries about payments that wait for their customers: the customer has acted
before the first one, or never comes. Until then the sandbox waits for the customer."""

ACTION_URL: Final = "https://sandbox.invalid/authenticate/{payment_id}"
"""Leads nowhere: the customer of the sandbox needs no page."""


def _await_customer(claim: Claim) -> NetworkResponse:
    if claim.awaits_customer:
        return ACTION_RESPONSES[claim.source]
    if claim.step not in (Step.CHARGE, Step.AUTHORIZE):
        return _APPROVED
    url = ACTION_URL.format(payment_id=claim.payment_id)
    return NetworkResponse(Verdict.REQUIRES_ACTION, next_action=NextAction(REDIRECT, url))


DISPUTED_SOURCES: Final = ("tok_disputed", "tok_disputeWon", "tok_disputeLost")
"""Approved, and disputed after the capture: see `sandbox_disputes.py`."""


def build_dispute_reference(payment_id: UUID) -> str:
    return f"dp_{payment_id.hex}"


def _announce_dispute(claim: Claim) -> NetworkResponse:
    if claim.step not in (Step.CHARGE, Step.CAPTURE):
        return _APPROVED
    return _APPROVED._replace(dispute_reference=build_dispute_reference(claim.payment_id))


STATE_RESPONSES: Final[Mapping[str, Callable[[Claim], NetworkResponse]]] = {
    UNDECIDED_SOURCE: _respond_slowly,
    "tok_undecided": lambda _: NetworkResponse(Verdict.PENDING),
    "tok_networkDown": lambda _: NetworkResponse(Verdict.NOT_SENT),
    "tok_answerLostOnce": _lose_first_answer,
    "tok_answerLost": lambda _: _UNKNOWN,
    "tok_noAnswer": lambda _: _UNKNOWN,
    **dict.fromkeys(ACTION_RESPONSES, _await_customer),
    **dict.fromkeys(DISPUTED_SOURCES, _announce_dispute),
}
"""By token, for every request: what happens between us and a network."""

INQUIRY_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_noAnswer": _UNKNOWN,
    "tok_undecided": NetworkResponse(Verdict.PENDING),
}
"""By token, for inquiries. With any other token the sandbox has processed the request."""


class SandboxCardNetwork:
    answers_claims_apart = False

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, AUTHORIZATION_RESPONSES)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, CAPTURE_RESPONSES)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, VOID_RESPONSES)

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, {})

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, REFUND_RESPONSES)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return [
            _await_customer(claim)
            if claim.source in ACTION_RESPONSES
            else _announce_dispute(claim)
            if claim.source in DISPUTED_SOURCES
            else INQUIRY_RESPONSES.get(claim.source, _APPROVED)
            for claim in claims
        ]


def _respond(
    claims: Sequence[Claim], responses: Mapping[str, NetworkResponse]
) -> Sequence[NetworkResponse]:
    return [
        STATE_RESPONSES[claim.source](claim)
        if claim.source in STATE_RESPONSES
        else responses.get(claim.source, _APPROVED)
        for claim in claims
    ]
