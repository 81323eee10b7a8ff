"""The repository of ledger transactions, entries and holds."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.ledger import Posted, PostedTransaction
from atomic_core.domain.ledger_verification import LedgerReport


class LedgerRepository(Protocol):
    def record(self, posted: Posted) -> None:
        """Write a posted batch: holds let go, accounts, transactions, entries, new holds.

        The accounts must be held by this unit of work. Raises StorageRefused if the batch
        breaks a rule of the books, above all if a payment would be posted twice, or a hold let
        go of that is not live.
        """
        ...

    def of_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        """What was posted for a payment and its refunds, oldest first, each with its entries."""
        ...

    def check(self) -> LedgerReport:
        """Apply every rule of `domain/ledger_verification.py` to one snapshot. Locks nothing."""
        ...
