"""Waiting for the next event of a stream."""

from typing import Protocol
from uuid import UUID


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

    def stop(self) -> None:
        """End all waits, because the process stops. Waits that begin later are short."""
        ...
