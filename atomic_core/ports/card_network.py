"""The card network."""

from collections.abc import Sequence
from typing import Protocol

from atomic_core.domain.settlement import Claim, NetworkResponse


class CardNetwork(Protocol):
    """Responses are in the order of the claims. The claim's id and step are the idempotency key, so
    that repeating a call has no further effect. Calls must end within the worker's lease. They
    raise NetworkFault if the network does not respond.
    """

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Authorize each claim's amount, and for a CHARGE capture it too."""
        ...

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Capture `capture_amount` of the authorized amount and release the rest."""
        ...

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Release the authorized amount."""
        ...

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        """Refund each claim's amount of the captured amount."""
        ...
