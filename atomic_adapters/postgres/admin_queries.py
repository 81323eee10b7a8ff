"""Rows of all merchants, for operators, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.payments import build_payment
from atomic_adapters.postgres.refunds import build_refund
from atomic_adapters.postgres.statements import load_statements
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

_SQL: Final = load_statements("admin_queries")

MAX_WALKED_ROWS: Final = 50_000
"""How many payments, or refunds, are read for one page of a settled status, which any number of
others may separate: a tenth of a second, or one from a disk. An operator who searches ten millions
reads at most two hundred pages."""


class _WalkStatements(NamedTuple):
    """The statements that list payments, or refunds."""

    list_by_age: bytes
    find_walk_end: bytes
    list_unsettled: bytes


_PAYMENTS: Final = _WalkStatements(
    _SQL["list_all_payments"], _SQL["find_walk_end_of_payments"], _SQL["list_unsettled_payments"]
)
_REFUNDS: Final = _WalkStatements(
    _SQL["list_all_refunds"], _SQL["find_walk_end_of_refunds"], _SQL["list_unsettled_refunds"]
)

_Item = TypeVar("_Item", Payment, Refund)


@dataclass(frozen=True, slots=True)
class PostgresAdminQueries:
    session: DatabaseSession

    def list_merchants(self, limit: int, after: UUID | None = None) -> Sequence[Merchant]:
        return self.session.fetch_all_as(
            Merchant, _SQL["list_all_merchants"], after_id=after, limit=limit
        )

    def list_accounts(
        self, limit: int, currency: str | None = None, after: UUID | None = None
    ) -> Sequence[Account]:
        return self.session.fetch_all_as(
            Account, _SQL["list_all_accounts"], currency=currency, after_id=after, limit=limit
        )

    def list_system_accounts(self) -> Sequence[Account]:
        return self.session.fetch_all_as(Account, _SQL["list_system_accounts"])

    def list_account_heads(self, after: UUID, limit: int) -> Sequence[AccountHead]:
        return self.session.fetch_all_as(
            AccountHead, _SQL["list_account_heads"], after_id=after, limit=limit
        )

    def get_account(self, account_id: UUID) -> Account | None:
        return self.session.fetch_optional_as(Account, _SQL["get_account"], id=account_id)

    def list_payments(
        self, limit: int, status: Status | None = None, after: UUID | None = None
    ) -> WalkedPage[Payment]:
        rows, walk_end = self._walk(_PAYMENTS, limit, status, after)
        return _build_page([build_payment(row) for row in rows], limit, walk_end)

    def list_all_refunds(
        self, limit: int, status: Status | None = None, after: UUID | None = None
    ) -> WalkedPage[Refund]:
        rows, walk_end = self._walk(_REFUNDS, limit, status, after)
        return _build_page([build_refund(row) for row in rows], limit, walk_end)

    def get_payment(self, payment_id: UUID) -> AdminPayment | None:
        row = self.session.fetch_optional(_SQL["get_payment"], id=payment_id)
        return AdminPayment(build_payment(row[3:]), WorkProgress(*row[:3])) if row else None

    def get_refund(self, refund_id: UUID) -> AdminRefund | None:
        row = self.session.fetch_optional(_SQL["get_refund"], id=refund_id)
        return _build_admin_refund(row) if row else None

    def list_refunds(self, payment_id: UUID, limit: int) -> Sequence[AdminRefund]:
        rows = self.session.fetch_all(
            _SQL["list_refunds_by_payment"], payment_id=payment_id, limit=limit
        )
        return [_build_admin_refund(row) for row in rows]

    def list_open_networks(self) -> Sequence[str]:
        return [network for (network,) in self.session.fetch_all(_SQL["list_open_networks"])]

    def count_parked(self, network: str, limit: int) -> int:
        return self.session.fetch_one(_SQL["count_parked"], network=network, limit=limit)[0]

    def count_open(self, network: str, limit: int) -> tuple[int, int]:
        payments, refunds = self.session.fetch_one(_SQL["count_open"], network=network, limit=limit)
        return payments, refunds

    def count_holds(self, from_now: timedelta | None, until: timedelta, limit: int) -> int:
        return self.session.fetch_one(
            _SQL["count_holds"], from_now=from_now, until=until, limit=limit
        )[0]

    def measure_backlog(self, network: str, limit: int) -> Backlog:
        row = self.session.fetch_one(_SQL["measure_backlog"], network=network, limit=limit)
        return Backlog(*row)

    def sum_unresolved(self, alarm: timedelta) -> Sequence[UnresolvedTotal]:
        rows = self.session.fetch_all(_SQL["sum_unresolved"], alarm=alarm)
        # A sum of amounts is a numeric: it may exceed a bigint.
        return [
            UnresolvedTotal(
                network, state, currency, steps, int(amount), overdue_steps, int(overdue), oldest
            )
            for network, state, currency, steps, amount, overdue_steps, overdue, oldest in rows
        ]

    def list_unresolved(self, limit: int) -> Sequence[UnresolvedStep]:
        return self.session.fetch_all_as(UnresolvedStep, _SQL["list_unresolved"], limit=limit)

    def _walk(
        self, lists: _WalkStatements, limit: int, status: Status | None, after: UUID | None
    ) -> tuple[Sequence[Sequence[Any]], UUID | None]:
        """The rows, and the id at which the walk has stopped; None if it has read all of them."""
        if status is not None and not status.is_settled:
            rows = self.session.fetch_all(
                lists.list_unsettled, item_status=status, after_id=after, limit=limit
            )
            return rows, None
        walk_end = None
        if status is not None:
            # A status may be as rare as it likes; without one, the page is full at once.
            end = self.session.fetch_optional(
                lists.find_walk_end, after_id=after, walked_rows=MAX_WALKED_ROWS - 1
            )
            walk_end = end[0] if end else None
        rows = self.session.fetch_all(
            lists.list_by_age,
            item_status=status,
            after_id=after,
            walk_end_id=walk_end,
            limit=limit,
        )
        return rows, walk_end


def _build_admin_refund(row: Sequence[Any]) -> AdminRefund:
    return AdminRefund(build_refund(row[3:]), WorkProgress(*row[:3]))


def _build_page(items: Sequence[_Item], limit: int, walk_end: UUID | None) -> WalkedPage[_Item]:
    return WalkedPage(items, items[-1].id if len(items) == limit else walk_end)
