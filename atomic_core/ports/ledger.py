"""The repository of ledger transactions, entries and holds."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.ledger import PostedTransaction, PostingResult
from atomic_core.domain.ledger_verification import LedgerReport


class LedgerRepository(Protocol):
    def save(self, posted: PostingResult) -> None:
        """Write a posted batch: holds let go, accounts, transactions, entries, new holds.

        The accounts must be held by this unit of work. Raises StorageRefused if the batch
        breaks a rule of the books, above all if a payment would be posted twice, or a hold let
        go of that is not live.
        """
        ...

    def list_by_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        """What was posted for a payment and its refunds, oldest first, each with its entries."""
        ...

    def verify(self) -> LedgerReport:
        """Apply every rule of `domain/ledger_verification.py` to one snapshot. Locks nothing."""
        ...
