"""A card network that decides by token, like the industry's test tokens. No money moves."""

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
"""Any other token is approved."""

CAPTURE_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_captureDeclined": NetworkResponse(Verdict.DECLINED, "capture_declined"),
    "tok_captureProcessingError": _FAULT,
}
"""These can be held, and not captured."""

REFUND_RESPONSES: Final[Mapping[str, NetworkResponse]] = {
    "tok_refundDeclined": NetworkResponse(Verdict.DECLINED, "refund_declined"),
    "tok_refundProcessingError": _FAULT,
}
"""These can be charged, and not refunded."""

UNDECIDED_TOKEN: Final = "tok_slow"
"""Decided only when asked again, up to three times, whatever is asked."""

_ASKED_AGAIN: Final = 3


class SandboxCardNetwork:
    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _answers(claims, AUTHORIZATION_RESPONSES)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _answers(claims, CAPTURE_RESPONSES)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _answers(claims, {})

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return _answers(claims, REFUND_RESPONSES)


def _answers(
    claims: Sequence[Claim], answers: Mapping[str, NetworkResponse]
) -> Sequence[NetworkResponse]:
    return [
        answers.get(claim.source, _APPROVED) if claim.source != UNDECIDED_TOKEN else _slowly(claim)
        for claim in claims
    ]


def _slowly(claim: Claim) -> NetworkResponse:
    # The attempt is all that tells how often it was asked; it only ever grows.
    return NetworkResponse(Verdict.UNDECIDED) if claim.attempt % _ASKED_AGAIN else _APPROVED
