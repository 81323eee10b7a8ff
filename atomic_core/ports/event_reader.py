"""Reading streams of events without a unit of work."""

from collections.abc import Sequence
from typing import Protocol

from atomic_core.domain.events import StreamEvent, StreamRead


class EventReader(Protocol):
    """Reads pages of streams, for callers that may read the same page at the same moment: an event
    wakes all requests that wait for it."""

    def read(self, read: StreamRead) -> Sequence[StreamEvent] | None:
        """`EventRepository.list_stream`; None if the API key is not active. The page and the check
        are of one transaction. Raises StorageUnavailable."""
        ...
