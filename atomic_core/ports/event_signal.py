"""Waiting for the next event of a stream."""

from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID


class SubjectWatch(Protocol):
    """A wait for the events of one payment or refund."""

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`. True if it may have an event that the caller has not seen: read it
        again. The first wait of a watch always ends so, soon, for what happened before it began;
        later ones end with an event only. False if the time is over or the process stops."""
        ...


class EventSignal(Protocol):
    """Wakes callers when the stream of their merchant has grown. A caller that waits holds no
    database connection."""

    def wait(self, merchant_id: UUID, after: int, seconds: float) -> int:
        """Wait up to `seconds` until the merchant's stream has a sequence number above `after`.
        Return its last sequence number, or `after` if it has not grown. Events up to that number
        are committed and can be read.

        While the storage is unavailable nothing wakes a caller; it returns after `seconds`.

        Raises TooManyWaiting if as many callers of the merchant wait as may, WaitingPlacesTaken if
        as many callers of all merchants do.
        """
        ...

    def watch(self, merchant_id: UUID, subject_id: UUID) -> AbstractContextManager[SubjectWatch]:
        """Watch a payment or refund of this merchant until the block ends. It holds no database
        connection, and counts as a caller that waits: raises TooManyWaiting and WaitingPlacesTaken
        as `wait`."""
        ...

    def stop(self) -> None:
        """End all waits, because the process stops. Waits that begin later are short."""
        ...
