"""Events that card networks send. An event is a hint: it makes settlement look at a payment or
refund sooner, and what the network answers then decides."""

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

BATCH_SIZE: Final = 100
"""Events that one transaction acts on."""


class NetworkEvent(NamedTuple):
    network: str
    id: str
    """The network's."""
    type: str
    """The network's."""
    payment_id: UUID
    """As the network has it: there may be no such payment."""
    refund_id: UUID | None = None
    postponements: int = 0

    @property
    def subject_id(self) -> UUID:
        return self.refund_id or self.payment_id
