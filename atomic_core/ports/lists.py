"""Lists: read inside a unit of work, lock nothing.

Every list is one merchant's and newest first. `after` is where the page before it ended; None
for the first page. Up to `limit` items are returned. Each method may raise StorageUnavailable.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

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


class ListQueries(Protocol):
    def payments(
        self, merchant_id: UUID, wanted: PaymentFilter, after: Position | None, limit: int
    ) -> Sequence[Payment]: ...

    def refunds(
        self, merchant_id: UUID, wanted: RefundFilter, after: Position | None, limit: int
    ) -> Sequence[Refund]: ...

    def accounts(
        self, merchant_id: UUID, wanted: AccountFilter, after: Position | None, limit: int
    ) -> Sequence[Account]: ...

    def entries(
        self, account_id: UUID, wanted: CreatedFilter, after: int | None, limit: int
    ) -> Sequence[BookedEntry]:
        """The account's, whoever it belongs to. `after` is a sequence number. Times are those
        of posting, and an account's entries stand in order of time (see SettlePayments)."""
        ...
