"""The repository of journal transactions."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.journal import JournalTransaction
from atomic_core.domain.lists import JournalFilter, Position


class JournalRepository(Protocol):
    def add(self, transactions: Sequence[JournalTransaction]) -> frozenset[UUID]:
        """Insert transactions, before `ledger.save` saves their entries, and place the holds of
        PENDING ones. This unit of work must have locked their accounts. Returns the ids of those
        that were inserted: not those whose external id the merchant has used already, nor those
        that reverse what is reversed already. Waits for concurrent uses of both."""
        ...

    def get(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        """The transaction with its entries. None if it is not the merchant's."""
        ...

    def lock(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        """As `get`, locked until the unit of work ends. Before any account is locked."""
        ...

    def lock_expired(self, limit: int) -> Sequence[JournalTransaction]:
        """PENDING transactions whose time has ended, by the database's clock, the earliest first.
        Locked as by `lock`; skips those that another unit of work has locked."""
        ...

    def resolve(self, transactions: Sequence[JournalTransaction]) -> None:
        """Record that PENDING transactions are POSTED, before `ledger.save` saves their entries,
        VOIDED or EXPIRED, with `resolved_at` and `effective_at`, and release all their holds. This
        unit of work must have locked them and then their accounts. Raises StorageRefused if one is
        not PENDING."""
        ...

    def find_by_external_ids(
        self, merchant_id: UUID, external_ids: Sequence[str]
    ) -> Mapping[str, UUID]:
        """The ids of the merchant's transactions with these external ids, by external id."""
        ...

    def list(
        self, merchant_id: UUID, filters: JournalFilter, after: Position | None, limit: int
    ) -> Sequence[JournalTransaction]:
        """Newest first; see `ports/lists.py`."""
        ...
