"""Queries across all merchants, for operators. The API uses `lists`, which are per merchant.

They read inside a unit of work and lock nothing. Each raises StorageUnavailable.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.admin_queries import (
    AccountHead,
    AdminPayment,
    AdminRefund,
    UnresolvedStep,
    UnresolvedTotal,
    WalkedPage,
)
from atomic_core.domain.backlog import Backlog
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import Refund


class AdminQueries(Protocol):
    def list_merchants(self, limit: int, after: UUID | None = None) -> Sequence[Merchant]:
        """Up to `limit` merchants, newest first; with `after`, those that follow this one."""
        ...

    def list_accounts(
        self, limit: int, currency: str | None = None, after: UUID | None = None
    ) -> Sequence[Account]:
        """Up to `limit` accounts of merchants, newest first; with `after`, those that follow this
        one."""
        ...

    def list_system_accounts(self) -> Sequence[Account]:
        """All system accounts by currency, World first."""
        ...

    def list_account_heads(self, after: UUID, limit: int) -> Sequence[AccountHead]:
        """Up to `limit` accounts of all owners with ids above `after`, in the order of ids."""
        ...

    def get_account(self, account_id: UUID) -> Account | None: ...

    def list_payments(
        self, limit: int, status: Status | None = None, after: UUID | None = None
    ) -> WalkedPage[Payment]:
        """Up to `limit` payments, newest first, in the order of their ids, which grow with time;
        with `after`, those that follow this id. How many payments are read is bounded: a page of
        settled payments may be short, or empty, although more follow."""
        ...

    def get_payment(self, payment_id: UUID) -> AdminPayment | None: ...

    def get_refund(self, refund_id: UUID) -> AdminRefund | None: ...

    def list_all_refunds(
        self, limit: int, status: Status | None = None, after: UUID | None = None
    ) -> WalkedPage[Refund]:
        """As `list_payments`."""
        ...

    def list_refunds(self, payment_id: UUID, limit: int) -> Sequence[AdminRefund]:
        """Up to `limit` refunds of a payment, newest first."""
        ...

    def list_open_networks(self) -> Sequence[str]:
        """The card networks of open payments and refunds."""
        ...

    def count_parked(self, network: str, limit: int) -> int:
        """Payments and refunds of a card network that are due and not claimed, up to `limit` of
        each."""
        ...

    def count_open(self, network: str, limit: int) -> tuple[int, int]:
        """Open payments and refunds of a card network, claimed or not, up to `limit` of each."""
        ...

    def count_holds(self, from_now: timedelta | None, until: timedelta, limit: int) -> int:
        """Up to `limit` authorized payments that end later than `from_now` and not later than
        `until`, both counted from now; with None, however early."""
        ...

    def measure_backlog(self, network: str, limit: int) -> Backlog:
        """The payments and refunds of a card network that are due and not claimed, up to `limit` of
        each, those that are due longest."""
        ...

    def sum_unresolved(self, alarm: timedelta) -> Sequence[UnresolvedTotal]:
        """The totals of those steps by network, network state and currency. Those that have been
        open for `alarm` are overdue."""
        ...

    def list_unresolved(self, limit: int) -> Sequence[UnresolvedStep]:
        """Up to `limit` steps whose outcome the card network has left open, the longest open
        first."""
        ...
