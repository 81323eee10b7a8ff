"""The statement of a card network: what it has moved, by its own records."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from atomic_core.domain.reconciliation import BookedPayment, StatementLine


class NetworkStatement(Protocol):
    """Reads only. Called outside of any transaction."""

    def read(self, begin: datetime, end: datetime) -> Iterator[Sequence[StatementLine]]:
        """The lines from `begin` until before `end`, page by page. Raises NetworkUnavailable."""
        ...

    def measure(self, payment: BookedPayment) -> int | None:
        """What the network has taken for this payment, less what it has returned and what disputes
        have withdrawn, at present and over all time, in minor units; 0 if it knows no such payment,
        None if it is no whole number of minor units. Raises NetworkUnavailable."""
        ...
