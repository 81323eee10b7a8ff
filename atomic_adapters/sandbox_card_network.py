"""A card network that decides by token, like the industry's test tokens. No money moves."""

from collections.abc import Mapping, Sequence
from typing import Final

from atomic_core.domain.payments import Authorization, Claim, Verdict

_APPROVED: Final = Authorization(Verdict.APPROVED)

SANDBOX_ANSWERS: Final[Mapping[str, Authorization]] = {
    "tok_chargeDeclined": Authorization(Verdict.DECLINED, "card_declined"),
    "tok_chargeDeclinedInsufficientFunds": Authorization(Verdict.DECLINED, "insufficient_funds"),
    "tok_chargeDeclinedExpiredCard": Authorization(Verdict.DECLINED, "expired_card"),
    "tok_chargeDeclinedIncorrectCvc": Authorization(Verdict.DECLINED, "incorrect_cvc"),
    "tok_chargeDeclinedProcessingError": Authorization(Verdict.FAULT),
}
"""Any other token is approved."""


class SandboxCardNetwork:
    def authorize(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        return [SANDBOX_ANSWERS.get(claim.source, _APPROVED) for claim in claims]
