"""Journal transactions in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.journal import JournalTransaction
from atomic_core.domain.lists import JournalFilter, Position


@dataclass(frozen=True, slots=True)
class MemoryJournalRepository:
    session: MemorySession

    def add(self, transactions: Sequence[JournalTransaction]) -> frozenset[UUID]:
        table = self.session.tables.journal_transactions
        inserted: list[UUID] = []
        for transaction in transactions:
            if transaction.id in table.rows:
                raise StorageRefused("journal_transactions_pkey")
            if not self._conflicts(transaction):
                table.put(transaction.id, transaction)
                inserted.append(transaction.id)
        return frozenset(inserted)

    def _conflicts(self, transaction: JournalTransaction) -> bool:
        rows = self.session.tables.journal_transactions.rows.values()
        key, reverses_id = (
            (transaction.merchant_id, transaction.external_id),
            transaction.reverses_id,
        )
        return any(
            (key[1] is not None and (row.merchant_id, row.external_id) == key)
            or (reverses_id is not None and row.reverses_id == reverses_id)
            for row in rows
        )

    def get(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        transaction = self.session.tables.journal_transactions.rows.get(transaction_id)
        if transaction is None or transaction.merchant_id != merchant_id:
            return None
        return self._complete(transaction)

    def find_by_external_id(self, merchant_id: UUID, external_id: str) -> UUID | None:
        rows = self.session.tables.journal_transactions.rows.values()
        key = (merchant_id, external_id)
        return next((row.id for row in rows if (row.merchant_id, row.external_id) == key), None)

    def list(
        self, merchant_id: UUID, filters: JournalFilter, after: Position | None, limit: int
    ) -> Sequence[JournalTransaction]:
        top = filters.get_start_position(after)
        page = [
            row
            for row in self.session.tables.journal_transactions.rows.values()
            if row.merchant_id == merchant_id
            and row.created_at >= filters.created_from
            and _get_position(row) < top
            and filters.external_id in (None, row.external_id)
            and (
                filters.account_id is None
                or any(entry.account_id == filters.account_id for entry in row.entries)
            )
        ]
        page.sort(key=_get_position, reverse=True)
        return [self._complete(row) for row in page[:limit]]

    def _complete(self, transaction: JournalTransaction) -> JournalTransaction:
        rows = self.session.tables.journal_transactions.rows.values()
        reversals = (row.id for row in rows if row.reverses_id == transaction.id)
        return replace(transaction, reversed_by_id=next(reversals, None))


def _get_position(row: JournalTransaction) -> Position:
    return Position(row.created_at, row.id)
