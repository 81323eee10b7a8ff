"""Everybody's rows, for operators. The API never asks here: its callers see what is theirs, and
so does who asks for one merchant's (see `lists`).

Read inside a unit of work; locks nothing. Each method may raise StorageUnavailable.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.admin_queries import AdminPayment, AdminRefund
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.payments import Payment, Status


class AdminQueries(Protocol):
    def list_merchants(self, limit: int) -> Sequence[Merchant]:
        """Up to `limit` merchants, newest first."""
        ...

    def list_accounts(self, limit: int, currency: str | None = None) -> Sequence[Account]:
        """Up to `limit` accounts of merchants, newest first."""
        ...

    def list_system_accounts(self) -> Sequence[Account]:
        """The house's own accounts, by currency, World first."""
        ...

    def get_account(self, account_id: UUID) -> Account | None: ...

    def list_payments(self, limit: int, status: Status | None = None) -> Sequence[Payment]:
        """Up to `limit` payments, newest first by their ids, which grow with time."""
        ...

    def get_payment(self, payment_id: UUID) -> AdminPayment | None: ...

    def get_refund(self, refund_id: UUID) -> AdminRefund | None: ...

    def list_refunds(self, payment_id: UUID, limit: int) -> Sequence[AdminRefund]:
        """Up to `limit` refunds of a payment, newest first."""
        ...
