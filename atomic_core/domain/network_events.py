"""Events that card networks send. An event is a hint: it makes Atomic look at a payment, a refund
or a dispute sooner, and what the network answers then decides."""

from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

RETENTION: Final = timedelta(days=30)
"""How long an event is kept after it was received. Networks repeat an event for days; one that is
repeated later is acted on again, which changes nothing."""

POSTPONEMENT: Final = timedelta(seconds=1)
"""How long an event waits whose payment a worker has claimed: its call may have begun before."""

MAX_POSTPONEMENTS: Final = 60
"""Afterwards the event is dropped: the claim is settled or repeated without it."""

DISPUTE_ANNOUNCED: Final = "dispute.announced"
"""The type of the event of a dispute that a network announces with its approval of a payment."""

BATCH_SIZE: Final = 100
"""Events that one transaction acts on."""


class NetworkEvent(NamedTuple):
    network: str
    id: str
    """The network's."""
    type: str
    """The network's."""
    payment_id: UUID | None
    """As the network has it: there may be no such payment. None if the event names a dispute
    only."""
    refund_id: UUID | None = None
    postponements: int = 0
    dispute_reference: str | None = None
    """The network's id of a dispute, of the events of disputes."""

    @property
    def subject_id(self) -> UUID | None:
        return self.refund_id or self.payment_id
