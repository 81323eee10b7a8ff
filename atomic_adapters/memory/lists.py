"""Lists in memory: every row is looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession
from atomic_core.domain.accounts import Account
from atomic_core.domain.lists import (
    AccountFilter,
    BookedEntry,
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

    def payments(
        self, merchant_id: UUID, filters: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]:
        mine = (
            row.payment
            for row in self.session.tables.payments.rows.values()
            if row.payment.merchant_id == merchant_id and _fits(row.payment, filters)
        )
        return _newest(mine, filters, after, limit)

    def refunds(
        self, merchant_id: UUID, filters: RefundFilter, after: Position | None, limit: int
    ) -> Sequence[Refund]:
        mine = (
            row.refund
            for row in self.session.tables.refunds.rows.values()
            if row.refund.merchant_id == merchant_id
            and filters.payment_id in (None, row.refund.payment_id)
            and _fits(row.refund, filters)
        )
        return _newest(mine, filters, after, limit)

    def accounts(
        self, merchant_id: UUID, filters: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]:
        mine = (
            account
            for account in self.session.tables.accounts.rows.values()
            if account.merchant_id == merchant_id and filters.currency in (None, account.currency)
        )
        return _newest(mine, filters, after, limit)

    def entries(
        self, account_id: UUID, filters: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[BookedEntry]:
        tables = self.session.tables
        found: list[BookedEntry] = []
        account = tables.accounts.rows.get(account_id)
        newest = account.sequence if account else 0
        for sequence in range(min(newest, newest if after is None else after - 1), 0, -1):
            entry = tables.entries.rows[account_id, sequence]
            posted = tables.transactions.rows[entry.transaction_id]
            if filters.spans(posted.posted_at):
                found.append(
                    BookedEntry(
                        account_id=account_id,
                        sequence=sequence,
                        transaction_id=posted.id,
                        payment_id=posted.payment_id,
                        refund_id=posted.refund_id,
                        kind=posted.kind,
                        amount=entry.amount,
                        balance_after=entry.balance_after,
                        posted_at=posted.posted_at,
                    )
                )
        return found[:limit]


def _fits(row: Payment | Refund, filters: PaymentFilter) -> bool:
    return (
        (not filters.statuses or row.status in filters.statuses)
        and filters.currency in (None, row.money.currency)
        and filters.amount_min <= row.money.amount <= filters.amount_max
        and all(row.metadata.get(key) == value for key, value in filters.metadata)
    )


def _newest(
    rows: Iterable[Row], filters: CreatedFilter, after: Position | None, limit: int
) -> Sequence[Row]:
    top = filters.top(after)
    found = [row for row in rows if row.created_at >= filters.created_from and _place(row) < top]
    return sorted(found, key=_place, reverse=True)[:limit]


def _place(row: Payment | Refund | Account) -> Position:
    return Position(row.created_at, row.id)
