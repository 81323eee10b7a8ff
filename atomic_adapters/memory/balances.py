"""Balances as of a moment in memory, by a sum of all entries."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from atomic_adapters.memory.lists import find_payment_id, is_of_dispute
from atomic_adapters.memory.tables import MemorySession, Tables
from atomic_core.domain.account_names import SubtreeBalance, get_subtree
from atomic_core.domain.accounts import Account
from atomic_core.domain.balances import (
    BalanceBefore,
    BalanceQuery,
    Snapshot,
    SnapshotProgress,
    TimeAxis,
    TrialBalanceRow,
    build_trial_rows,
)
from atomic_core.domain.explanations import ExplainedEntry, KindSum
from atomic_core.domain.ledger import Entry, LedgerTransaction, TransactionKind
from atomic_core.domain.ledger_verification import Finding, LedgerCheck


@dataclass(frozen=True, slots=True)
class MemoryBalanceRepository:
    session: MemorySession

    def list_before(
        self, queries: Sequence[BalanceQuery], axis: TimeAxis
    ) -> Sequence[BalanceBefore]:
        return [self._sum_before(query, axis) for query in queries]

    def _sum_before(self, query: BalanceQuery, axis: TimeAxis) -> BalanceBefore:
        sequence = balance = 0
        for entry, transaction in list_entries(self.session.tables, query.account_id):
            if transaction.posted_at < query.before:
                sequence = entry.sequence
            if get_time(transaction, axis) < query.before:
                balance += entry.amount
        return BalanceBefore(query.account_id, query.before, sequence, balance)

    def sum_by_type(
        self, merchant_id: UUID | None, axis: TimeAxis, before: datetime
    ) -> Sequence[TrialBalanceRow]:
        sums = (
            (account, self._sum_before(BalanceQuery(account.id, before), axis).balance)
            for account in self.session.tables.accounts.rows.values()
            if merchant_id in (None, account.merchant_id)
        )
        return build_trial_rows(
            (account, balance)
            for account, balance in sums
            if account.created_at < before or balance
        )

    def sum_subtree(self, merchant_id: UUID, prefix: str | None) -> Sequence[SubtreeBalance]:
        subtree = None if prefix is None else get_subtree(prefix)
        by_currency = defaultdict[str, list[Account]](list)
        for account in self.session.tables.accounts.rows.values():
            is_included = subtree is None or subtree.includes(account.name)
            if account.merchant_id == merchant_id and is_included:
                by_currency[account.currency].append(account)
        return [
            SubtreeBalance(
                currency,
                len(accounts),
                sum(account.balance for account in accounts),
                sum(account.pending_in for account in accounts),
                sum(account.pending_out for account in accounts),
            )
            for currency, accounts in sorted(by_currency.items())
        ]

    def sum_by_kind(
        self, account_id: UUID, after_sequence: int, last_sequence: int
    ) -> Sequence[KindSum]:
        amounts: dict[str, list[int]] = {}
        for entry in self.list_explained(account_id, after_sequence, last_sequence, sys.maxsize):
            amounts.setdefault(entry.kind, []).append(entry.amount)
        return [
            KindSum(
                kind,
                len(found),
                sum(-amount for amount in found if amount < 0),
                sum(amount for amount in found if amount > 0),
            )
            for kind, found in sorted(amounts.items())
        ]

    def list_explained(
        self, account_id: UUID, after_sequence: int, last_sequence: int, limit: int
    ) -> Sequence[ExplainedEntry]:
        tables = self.session.tables
        found = [
            ExplainedEntry(
                account_id,
                entry.sequence,
                transaction.id,
                find_payment_id(tables, transaction),
                transaction.refund_id,
                transaction.kind.value,
                entry.amount,
                entry.balance_after,
                transaction.posted_at,
                transaction.payment_id if is_of_dispute(transaction) else None,
                get_time(transaction, TimeAxis.EFFECTIVE),
                _find_request_id(tables, transaction),
            )
            for entry, transaction in list_entries(tables, account_id)
            if after_sequence < entry.sequence <= last_sequence
        ]
        return found[::-1][:limit]

    def lock_progress(self) -> SnapshotProgress | None:
        rows = self.session.tables.snapshot_progress.rows
        return rows.get(True, SnapshotProgress(None, None))

    def save_progress(self, through: date | None, after_id: UUID | None) -> None:
        self.session.tables.snapshot_progress.put(True, SnapshotProgress(through, after_id))  # noqa: FBT003  a key

    def take_snapshots(
        self, after_id: UUID | None, limit: int, before: date
    ) -> tuple[int, UUID | None]:
        tables = self.session.tables
        later = sorted(id for id in tables.accounts.rows if after_id is None or id > after_id)
        page = later[:limit]
        taken = [
            snapshot
            for account_id in page
            if (snapshot := self._find_next(account_id)) and snapshot.day < before
        ]
        for snapshot in taken:
            tables.balance_snapshots.put((snapshot.account_id, snapshot.day), snapshot)
        return len(taken), page[-1] if page else None

    def _find_next(self, account_id: UUID) -> Snapshot | None:
        """The last entry on the day of the first one that no snapshot has yet."""
        tables = self.session.tables
        kept = [
            row.sequence
            for row in tables.balance_snapshots.rows.values()
            if row.account_id == account_id
        ]
        last_sequence, found = max(kept, default=0), None
        for entry, transaction in list_entries(tables, account_id):
            day = get_day(transaction)
            if entry.sequence > last_sequence and (found is None or day == found.day):
                found = Snapshot(account_id, day, entry.sequence, entry.balance_after)
        return found


def _find_request_id(tables: Tables, transaction: LedgerTransaction) -> str | None:
    if is_of_dispute(transaction):
        # A network's, not a request's.
        return None
    if transaction.kind is TransactionKind.JOURNAL:
        origin = tables.journal_transactions.rows[transaction.id].origin
    elif transaction.refund_id:
        origin = tables.refunds.rows[transaction.refund_id].item.origin
    else:
        origin = tables.payments.rows[transaction.payment_id].item.origin
    return origin.request_id if origin else None


def list_entries(tables: Tables, account_id: UUID) -> Iterator[tuple[Entry, LedgerTransaction]]:
    """In the order of posting."""
    account = tables.accounts.rows.get(account_id)
    for sequence in range(1, (account.sequence if account else 0) + 1):
        entry = tables.entries.rows[account_id, sequence]
        yield entry, tables.transactions.rows[entry.transaction_id]


def get_time(transaction: LedgerTransaction, axis: TimeAxis) -> datetime:
    if axis is TimeAxis.EFFECTIVE and transaction.effective_at is not None:
        return transaction.effective_at
    return transaction.posted_at


def get_day(transaction: LedgerTransaction) -> date:
    return transaction.posted_at.astimezone(UTC).date()


def check_snapshots(tables: Tables) -> Iterator[Finding]:
    for (account_id, day), snapshot in sorted(tables.balance_snapshots.rows.items()):
        entry = tables.entries.rows.get((account_id, snapshot.sequence))
        transaction = entry and tables.transactions.rows.get(entry.transaction_id)
        is_true = (
            entry is not None
            and transaction is not None
            and (get_day(transaction), entry.balance_after) == (day, snapshot.balance)
        )
        if not is_true:
            problem = f"{snapshot.balance} is not what entry {snapshot.sequence} left on that day"
            yield Finding(LedgerCheck.SNAPSHOT_IS_ENTRY, f"{account_id}/{day}", problem)


def check_shifts(tables: Tables) -> Iterator[Finding]:  # noqa: ARG001
    """None: effective times are read from the transactions here."""
    return iter(())
