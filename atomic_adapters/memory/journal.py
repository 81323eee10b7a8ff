"""Journal transactions in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from uuid import UUID

from atomic_adapters.memory.account_rows import put_account
from atomic_adapters.memory.periods import is_closed
from atomic_adapters.memory.tables import JournalHoldRow, MemorySession
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.journal import JournalStatus, JournalTransaction
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
                self._check_new(transaction)
                table.put(transaction.id, transaction)
                if transaction.status is JournalStatus.PENDING:
                    self._place_holds(transaction)
                inserted.append(transaction.id)
        return frozenset(inserted)

    def _check_new(self, transaction: JournalTransaction) -> None:
        is_new = transaction.status in (JournalStatus.PENDING, JournalStatus.POSTED)
        is_pending = transaction.status is JournalStatus.PENDING
        if not is_new or is_pending != (transaction.expires_at is not None):
            raise StorageRefused("journal_transactions_begin, journal_transactions_pending_end")
        if transaction.resolved_at or (is_pending and transaction.reverses_id):
            raise StorageRefused("journal_transactions_begin, journal_transactions_pending_end")
        if is_pending and not self._is_balanced(transaction):
            raise StorageRefused("journal_matches_ledger")
        self._check_period(transaction)

    def _check_period(self, transaction: JournalTransaction) -> None:
        tables = self.session.tables
        if is_closed(tables, transaction.merchant_id, transaction.effective_at):
            raise StorageRefused("journal_transactions_in_open_period")

    def _is_balanced(self, transaction: JournalTransaction) -> bool:
        accounts, sums = self.session.tables.accounts.rows, Counter[str]()
        for entry in transaction.entries:
            sums[accounts[entry.account_id].currency] += entry.amount
        owners = {accounts[entry.account_id].merchant_id for entry in transaction.entries}
        is_whole = len(transaction.entries) >= 2 and not any(sums.values())
        return is_whole and owners == {transaction.merchant_id}

    def _place_holds(self, transaction: JournalTransaction) -> None:
        for entry in transaction.entries:
            key = (transaction.id, entry.account_id)
            self.session.tables.journal_holds.put(key, JournalHoldRow(entry.amount))
            self._apply_pending(entry.account_id, entry.amount, 1)

    def _apply_pending(self, account_id: UUID, amount: int, sign: int) -> None:
        """Add (1) or subtract (-1) a hold."""
        tables = self.session.tables
        account = tables.accounts.rows[account_id]
        changed = replace(
            account,
            pending_in=account.pending_in + sign * max(amount, 0),
            pending_out=account.pending_out + sign * max(-amount, 0),
        )
        put_account(tables, changed)

    def lock(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        return self.get(merchant_id, transaction_id)

    def lock_expired(self, limit: int) -> Sequence[JournalTransaction]:
        now = self.session.tables.clock.now()
        expired = [
            (row.expires_at, row.id, row)
            for row in self.session.tables.journal_transactions.rows.values()
            if row.status is JournalStatus.PENDING and row.expires_at and row.expires_at <= now
        ]
        return [row for *_, row in sorted(expired, key=itemgetter(0, 1))[:limit]]

    def resolve(self, transactions: Sequence[JournalTransaction]) -> None:
        tables = self.session.tables
        for resolved in transactions:
            row = tables.journal_transactions.rows.get(resolved.id)
            if row is None or row.status is not JournalStatus.PENDING or not resolved.resolved_at:
                raise StorageRefused("journal transactions resolved")
            if any(abs(entry.posted_amount) > abs(entry.amount) for entry in resolved.entries):
                raise StorageRefused("journal_matches_ledger")
            if resolved.status is JournalStatus.POSTED:
                self._check_period(resolved)
            tables.journal_transactions.put(resolved.id, resolved)
            for entry in row.entries:
                key = (row.id, entry.account_id)
                hold = tables.journal_holds.rows[key]
                tables.journal_holds.put(key, replace(hold, is_live=False))
                self._apply_pending(entry.account_id, hold.amount, -1)

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

    def find_by_external_ids(
        self, merchant_id: UUID, external_ids: Sequence[str]
    ) -> Mapping[str, UUID]:
        rows, requested = self.session.tables.journal_transactions.rows.values(), set(external_ids)
        return {
            row.external_id: row.id
            for row in rows
            if row.merchant_id == merchant_id and row.external_id in requested and row.external_id
        }

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
