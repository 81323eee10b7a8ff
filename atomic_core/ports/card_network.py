"""The card network."""

from collections.abc import Sequence
from typing import Protocol

from atomic_core.domain.settlement import Claim, NetworkResponse


class CardNetwork(Protocol):
    """Answers come in the order of the claims. The claim's id and step are the idempotency key:
    asking twice does it once. Must answer within the settler's lease. Raises NetworkFault if there
    was no answer at all.
    """

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Ask for each claim's money: to take it at once (CHARGE), or to hold it (AUTHORIZE)."""
        ...

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Take `capture_amount` of what is held, and let the rest go."""
        ...

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Let go of what is held."""
        ...

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Give back each claim's amount of what was taken."""
        ...
