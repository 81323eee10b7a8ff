"""A test card network: the response depends on the payment's token, as with other gateways' test
tokens. No money moves."""

from collections.abc import Mapping, Sequence
from typing import Final

from atomic_core.domain.settlement import Claim, NetworkResponse, Verdict

_APPROVED: Final = NetworkResponse(Verdict.APPROVED)
_FAULT: Final = NetworkResponse(Verdict.FAULT)

AUTHORIZATION_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_chargeDeclined": NetworkResponse(Verdict.DECLINED, "card_declined"),
    "tok_chargeDeclinedInsufficientFunds": NetworkResponse(Verdict.DECLINED, "insufficient_funds"),
    "tok_chargeDeclinedExpiredCard": NetworkResponse(Verdict.DECLINED, "expired_card"),
    "tok_chargeDeclinedIncorrectCvc": NetworkResponse(Verdict.DECLINED, "incorrect_cvc"),
    "tok_chargeDeclinedProcessingError": _FAULT,
}
"""By token, for charges and authorizations. Any other token is approved."""

CAPTURE_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_captureDeclined": NetworkResponse(Verdict.DECLINED, "capture_declined"),
    "tok_captureProcessingError": _FAULT,
}
"""By token, for captures. The authorizations of these tokens are approved."""

REFUND_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_refundDeclined": NetworkResponse(Verdict.DECLINED, "refund_declined"),
    "tok_refundProcessingError": _FAULT,
}
"""By token, for refunds. The charges of these tokens are approved."""

UNDECIDED_SOURCE: Final = "tok_slow"
"""UNDECIDED until the third attempt at the latest, for every request."""

_DECIDING_ATTEMPT: Final = 3
"""Every third attempt is approved."""


class SandboxCardNetwork:
    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, AUTHORIZATION_RESPONSES)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, CAPTURE_RESPONSES)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, {})

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _respond(claims, REFUND_RESPONSES)


def _respond(
    claims: Sequence[Claim], responses: Mapping[str, NetworkResponse]
) -> Sequence[NetworkResponse]:
    return [
        responses.get(claim.source, _APPROVED)
        if claim.source != UNDECIDED_SOURCE
        else _respond_undecided(claim)
        for claim in claims
    ]


def _respond_undecided(claim: Claim) -> NetworkResponse:
    # The attempt number stands in for a count of requests: it grows with every one.
    return NetworkResponse(Verdict.UNDECIDED) if claim.attempt % _DECIDING_ATTEMPT else _APPROVED
