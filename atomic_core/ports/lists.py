"""Lists: read inside a unit of work, lock nothing.

Every list is one merchant's and newest first. `after` is where the page before it ended; None
for the first page. Up to `limit` items are returned. Each method may raise StorageUnavailable.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.accounts import Account
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


class ListQueries(Protocol):
    def list_payments(
        self, merchant_id: UUID, filters: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]: ...

    def list_refunds(
        self, merchant_id: UUID, filters: RefundFilter, after: Position | None, limit: int
    ) -> Sequence[Refund]: ...

    def list_accounts(
        self, merchant_id: UUID, filters: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]: ...

    def list_entries(
        self, account_id: UUID, filters: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[AccountEntry]:
        """The account's, whoever it belongs to. `after` is a sequence number. Times are those
        of posting, and an account's entries stand in order of time (see SettlePayments)."""
        ...
