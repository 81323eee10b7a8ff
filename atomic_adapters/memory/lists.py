"""Lists in memory, by a scan of all rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession, Tables
from atomic_core.domain.account_names import get_subtree
from atomic_core.domain.accounts import Account
from atomic_core.domain.ledger import LedgerTransaction, TransactionKind
from atomic_core.domain.lists import (
    AccountEntry,
    AccountFilter,
    CreatedFilter,
    PaymentFilter,
    Position,
    RefundFilter,
)
from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import Refund

Row = TypeVar("Row", Payment, Refund, Account)


@dataclass(frozen=True, slots=True)
class MemoryListQueries:
    session: MemorySession

    def list_payments(
        self, merchant_id: UUID, filters: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]:
        own = (
            row.item
            for row in self.session.tables.payments.rows.values()
            if row.item.merchant_id == merchant_id and _matches(row.item, filters)
        )
        return _get_newest(own, filters, after, limit)

    def list_refunds(
        self, merchant_id: UUID, filters: RefundFilter, after: Position | None, limit: int
    ) -> Sequence[Refund]:
        own = (
            row.item
            for row in self.session.tables.refunds.rows.values()
            if row.item.merchant_id == merchant_id
            and filters.payment_id in (None, row.item.payment_id)
            and _matches(row.item, filters)
        )
        return _get_newest(own, filters, after, limit)

    def list_accounts(
        self, merchant_id: UUID, filters: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]:
        own = (
            account
            for account in self.session.tables.accounts.rows.values()
            if account.merchant_id == merchant_id and _matches_account(account, filters)
        )
        return _get_newest(own, filters, after, limit)

    def list_entries(
        self, account_id: UUID, filters: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[AccountEntry]:
        tables = self.session.tables
        page: list[AccountEntry] = []
        account = tables.accounts.rows.get(account_id)
        newest = account.sequence if account else 0
        for sequence in range(min(newest, newest if after is None else after - 1), 0, -1):
            entry = tables.entries.rows[account_id, sequence]
            transaction = tables.transactions.rows[entry.transaction_id]
            if filters.includes_time(transaction.posted_at):
                page.append(
                    AccountEntry(
                        account_id=account_id,
                        sequence=sequence,
                        transaction_id=transaction.id,
                        payment_id=find_payment_id(self.session.tables, transaction),
                        refund_id=transaction.refund_id,
                        kind=transaction.kind,
                        amount=entry.amount,
                        balance_after=entry.balance_after,
                        posted_at=transaction.posted_at,
                        dispute_id=transaction.payment_id if is_of_dispute(transaction) else None,
                    )
                )
        return page[:limit]


def _matches(row: Payment | Refund, filters: PaymentFilter) -> bool:
    return (
        (not filters.statuses or row.status in filters.statuses)
        and filters.currency in (None, row.money.currency)
        and filters.amount_min <= row.money.amount <= filters.amount_max
        and all(row.metadata.get(key) == value for key, value in filters.metadata)
    )


def _matches_account(account: Account, filters: AccountFilter) -> bool:
    subtree = None if filters.prefix is None else get_subtree(filters.prefix)
    return (
        filters.currency in (None, account.currency)
        and filters.type in (None, account.type)
        and filters.external_id in (None, account.external_id)
        and (subtree is None or subtree.includes(account.name))
        and filters.balance_min <= account.balance <= filters.balance_max
        and all(account.metadata.get(key) == value for key, value in filters.metadata)
    )


def _get_newest(
    rows: Iterable[Row], filters: CreatedFilter, after: Position | None, limit: int
) -> Sequence[Row]:
    top = filters.get_start_position(after)
    page = [
        row for row in rows if row.created_at >= filters.created_from and _get_position(row) < top
    ]
    return sorted(page, key=_get_position, reverse=True)[:limit]


def _get_position(row: Payment | Refund | Account) -> Position:
    return Position(row.created_at, row.id)


def find_payment_id(tables: Tables, transaction: LedgerTransaction) -> UUID | None:
    if transaction.kind is TransactionKind.JOURNAL:
        return None
    if is_of_dispute(transaction):
        return tables.disputes.rows[transaction.payment_id].dispute.payment_id
    return transaction.payment_id


def is_of_dispute(transaction: LedgerTransaction) -> bool:
    return transaction.kind in (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL)
