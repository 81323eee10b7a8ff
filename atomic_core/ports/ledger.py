"""The repository of ledger transactions, entries and holds."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.ledger import PostedTransaction
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.posting import PostingResult


class LedgerRepository(Protocol):
    def save(self, result: PostingResult) -> None:
        """Save a posted batch: released holds, accounts, transactions, entries, placed holds.

        This unit of work must have locked the accounts. Raises StorageRefused if the batch breaks
        a rule of the ledger, such as a second transaction of a payment, or the release of a hold
        that is not live.
        """
        ...

    def list_by_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        """The ledger transactions of a payment and its refunds, oldest first."""
        ...

    def verify(self) -> LedgerReport:
        """Check every rule of `domain/ledger_verification.py` on one snapshot. Locks nothing."""
        ...
