"""The disputes of a card network."""

from typing import Protocol

from atomic_core.domain.disputes import DisputeReport, DisputeRequest


class DisputeNetwork(Protocol):
    """Called outside of any transaction. Any method may be repeated: what the network has done
    already, it does not do again. Whatever a method raises is no answer."""

    def look_up(self, request: DisputeRequest) -> DisputeReport:
        """The dispute as the network has it now. Changes nothing."""
        ...

    def submit_evidence(self, request: DisputeRequest) -> DisputeReport:
        """Send the evidence of `request.dispute`, once and for all; then as `look_up`."""
        ...

    def accept(self, request: DisputeRequest) -> DisputeReport:
        """Accept that `request.dispute` is lost; then as `look_up`."""
        ...
