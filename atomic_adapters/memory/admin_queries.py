"""Rows of all merchants, for operators, in memory."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from atomic_adapters.memory.tables import MemorySession, WorkItemRow
from atomic_adapters.memory.work_items import build_unresolved_step
from atomic_core.domain.accounts import Account
from atomic_core.domain.admin_queries import (
    AccountHead,
    AdminPayment,
    AdminRefund,
    UnresolvedStep,
    UnresolvedTotal,
    WalkedPage,
    WorkProgress,
)
from atomic_core.domain.backlog import Backlog
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import Refund

Row = TypeVar("Row", Merchant, Account)
Item = TypeVar("Item", Payment, Refund)


@dataclass(frozen=True, slots=True)
class MemoryAdminQueries:
    session: MemorySession

    def list_merchants(self, limit: int, after: UUID | None = None) -> Sequence[Merchant]:
        rows = self.session.tables.merchants.rows
        return _list_newest(rows.values(), limit, rows[after] if after else None)

    def list_accounts(
        self, limit: int, currency: str | None = None, after: UUID | None = None
    ) -> Sequence[Account]:
        accounts = [
            account
            for account in self.session.tables.accounts.rows.values()
            if account.merchant_id is not None and currency in (None, account.currency)
        ]
        last = self.session.tables.accounts.rows[after] if after else None
        return _list_newest(accounts, limit, last)

    def list_system_accounts(self) -> Sequence[Account]:
        accounts = self.session.tables.accounts.rows.values()
        system_accounts = [account for account in accounts if account.merchant_id is None]
        return sorted(system_accounts, key=lambda account: (account.currency, account.type))

    def list_account_heads(self, after: UUID, limit: int) -> Sequence[AccountHead]:
        rows = self.session.tables.accounts.rows
        ids = sorted(id for id in rows if id > after)[:limit]
        return [AccountHead(id, rows[id].sequence, rows[id].head) for id in ids]

    def get_account(self, account_id: UUID) -> Account | None:
        return self.session.tables.accounts.rows.get(account_id)

    def list_payments(
        self, limit: int, status: Status | None = None, after: UUID | None = None
    ) -> WalkedPage[Payment]:
        payments = [row.item for row in self.session.tables.payments.rows.values()]
        return _list_by_id(payments, limit, status, after)

    def list_all_refunds(
        self, limit: int, status: Status | None = None, after: UUID | None = None
    ) -> WalkedPage[Refund]:
        refunds = [row.item for row in self.session.tables.refunds.rows.values()]
        return _list_by_id(refunds, limit, status, after)

    def get_payment(self, payment_id: UUID) -> AdminPayment | None:
        row = self.session.tables.payments.rows.get(payment_id)
        return AdminPayment(row.item, _build_progress(row)) if row else None

    def get_refund(self, refund_id: UUID) -> AdminRefund | None:
        row = self.session.tables.refunds.rows.get(refund_id)
        return AdminRefund(row.item, _build_progress(row)) if row else None

    def list_refunds(self, payment_id: UUID, limit: int) -> Sequence[AdminRefund]:
        rows = [
            row
            for row in self.session.tables.refunds.rows.values()
            if row.item.payment_id == payment_id
        ]
        rows.sort(key=lambda row: (row.item.created_at, row.item.id), reverse=True)
        return [AdminRefund(row.item, _build_progress(row)) for row in rows[:limit]]

    def list_open_networks(self) -> Sequence[str]:
        tables = self.session.tables
        payments = {id: row.item for id, row in tables.payments.rows.items()}
        refunded = [
            payments[row.item.payment_id]
            for row in tables.refunds.rows.values()
            if row.item.status.is_open
        ]
        is_open = [payment for payment in payments.values() if payment.status.is_open]
        return sorted({payment.network for payment in (*is_open, *refunded)})

    def count_parked(self, network: str, limit: int) -> int:
        tables = self.session.tables
        now = tables.clock.now()
        payments = tables.payments.rows
        waiting_payments = [
            row for row in payments.values() if row.item.network == network and _is_parked(row, now)
        ]
        waiting_refunds = [
            row
            for row in tables.refunds.rows.values()
            if payments[row.item.payment_id].item.network == network and _is_parked(row, now)
        ]
        return min(limit, len(waiting_payments)) + min(limit, len(waiting_refunds))

    def count_open(self, network: str, limit: int) -> tuple[int, int]:
        tables = self.session.tables
        payments = tables.payments.rows
        open_payments = [
            row
            for row in payments.values()
            if row.item.network == network and row.item.status.is_open
        ]
        open_refunds = [
            row
            for row in tables.refunds.rows.values()
            if payments[row.item.payment_id].item.network == network and row.item.status.is_open
        ]
        return min(limit, len(open_payments)), min(limit, len(open_refunds))

    def count_holds(self, from_now: timedelta | None, until: timedelta, limit: int) -> int:
        tables = self.session.tables
        now = tables.clock.now()
        ends = [
            row.item.expires_at
            for row in tables.payments.rows.values()
            if row.item.status is Status.AUTHORIZED and row.item.expires_at is not None
        ]
        count = len(
            [
                end
                for end in ends
                if (from_now is None or end > now + from_now) and end <= now + until
            ]
        )
        return min(limit, count)

    def measure_backlog(self, network: str, limit: int) -> Backlog:
        tables = self.session.tables
        now = tables.clock.now()
        payments = tables.payments.rows
        due_payments = [
            row for row in payments.values() if row.item.network == network and _is_parked(row, now)
        ]
        due_refunds = [
            row
            for row in tables.refunds.rows.values()
            if payments[row.item.payment_id].item.network == network and _is_parked(row, now)
        ]
        counted = [
            *sorted(due_payments, key=lambda row: row.due_at)[:limit],
            *sorted(due_refunds, key=lambda row: row.due_at)[:limit],
        ]
        claimable_at = min((row.leased_until or row.due_at for row in counted), default=now)
        return Backlog(len(counted), now - claimable_at)

    def sum_unresolved(self, alarm: timedelta) -> Sequence[UnresolvedTotal]:
        tables = self.session.tables
        latest = tables.clock.now() - alarm
        groups: dict[tuple[str, str, str], list[tuple[int, datetime]]] = defaultdict(list)
        for row in (*tables.payments.rows.values(), *tables.refunds.rows.values()):
            item = row.item
            if item.network_state is None or item.unresolved_since is None:
                continue
            is_refund = isinstance(item, Refund)
            payment = tables.payments.rows[item.payment_id].item if is_refund else item
            captured = None if is_refund else item.capture_amount
            amount = item.money.amount if captured is None else captured
            key = (payment.network, str(item.network_state), item.money.currency)
            groups[key].append((amount, item.unresolved_since))
        return [
            UnresolvedTotal(
                *key,
                len(steps),
                sum(amount for amount, _ in steps),
                len([since for _, since in steps if since <= latest]),
                sum(amount for amount, since in steps if since <= latest),
                min(since for _, since in steps),
            )
            for key, steps in sorted(groups.items())
        ]

    def list_unresolved(self, limit: int) -> Sequence[UnresolvedStep]:
        tables = self.session.tables
        steps = [
            *_list_unresolved_steps(tables.payments.rows.values()),
            *_list_unresolved_steps(tables.refunds.rows.values()),
        ]
        steps.sort(key=lambda step: (step.unresolved_since, step.payment_id, step.id))
        return steps[:limit]


def _list_unresolved_steps(rows: Iterable[WorkItemRow[Any]]) -> Iterator[UnresolvedStep]:
    for row in rows:
        if row.item.network_state is not None:
            yield build_unresolved_step(row)


def _list_newest(rows: Iterable[Row], limit: int, after: Row | None) -> Sequence[Row]:
    newest = sorted(rows, key=_get_position, reverse=True)
    if after is not None:
        newest = [row for row in newest if _get_position(row) < _get_position(after)]
    return newest[:limit]


def _get_position(row: Merchant | Account) -> tuple[datetime, UUID]:
    return row.created_at, row.id


def _list_by_id(
    items: Iterable[Item], limit: int, status: Status | None, after: UUID | None
) -> WalkedPage[Item]:
    matching = [
        item
        for item in items
        if status in (None, item.status) and (after is None or item.id < after)
    ]
    page = sorted(matching, key=lambda item: item.id, reverse=True)[:limit]
    return WalkedPage(page, page[-1].id if len(page) == limit else None)


def _is_parked(row: WorkItemRow[Any], now: datetime) -> bool:
    is_claimed = row.leased_until is not None and row.leased_until > now
    return row.item.status.is_open and row.due_at <= now and not is_claimed


def _build_progress(row: WorkItemRow[Any]) -> WorkProgress:
    return WorkProgress(row.faults, row.due_at, row.leased_until)
