"""The card network."""

from collections.abc import Sequence
from typing import Protocol

from atomic_core.domain.card_networks import NetworkResponse
from atomic_core.domain.settlement import Claim


class CardNetwork(Protocol):
    """Responses are in the order of the claims, one verdict per claim.

    The claim's id, step and key generation are the idempotency key, so that repeating a call has no
    further effect.
    NOT_SENT may be returned only for a request that the network has certainly not processed;
    whatever is not certain is UNKNOWN. An exception counts as UNKNOWN for all claims of the call.
    Called outside of any transaction, by several threads at once.
    """

    @property
    def answers_claims_apart(self) -> bool:
        """Whether each claim has its own request and time-out, so that a claim without an answer
        delays no other claim of its call. If not, claims in doubt are called for in small
        groups."""
        ...

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Authorize each claim's amount, and for a CHARGE capture it too."""
        ...

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Capture `capture_amount` of the authorized amount and release the rest."""
        ...

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Release the authorized amount. APPROVED if nothing of it is held any more."""
        ...

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Undo each payment at the network: release what is held, return what was captured.
        APPROVED if neither is left."""
        ...

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Refund each claim's amount of the captured amount."""
        ...

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """What became of each claim's step: APPROVED, DECLINED or PENDING as its call would have
        returned; NOT_FOUND if the network certainly has no record of it and is not about to have
        one; else UNKNOWN. Changes nothing."""
        ...
