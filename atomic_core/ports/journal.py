"""The repository of journal transactions."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.journal import JournalTransaction
from atomic_core.domain.lists import JournalFilter, Position


class JournalRepository(Protocol):
    def add(self, transactions: Sequence[JournalTransaction]) -> frozenset[UUID]:
        """Insert transactions, before `ledger.save` saves their entries. Returns the ids of those
        that were inserted: not those whose external id the merchant has used already, nor those
        that reverse what is reversed already. Waits for concurrent uses of both."""
        ...

    def get(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        """The transaction with its entries. None if it is not the merchant's."""
        ...

    def find_by_external_id(self, merchant_id: UUID, external_id: str) -> UUID | None:
        """The id of the merchant's transaction with this external id."""
        ...

    def list(
        self, merchant_id: UUID, filters: JournalFilter, after: Position | None, limit: int
    ) -> Sequence[JournalTransaction]:
        """Newest first; see `ports/lists.py`."""
        ...
