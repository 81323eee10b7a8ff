"""Lists of one merchant's rows, newest first.

They read inside a unit of work and lock nothing. `after` is the position of the last item of the
previous page, None for the first page. Up to `limit` items are returned. Each raises
StorageUnavailable.
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
        """The entries of any account. `after` is a sequence number. Filters apply to the time of
        posting, which never decreases from one entry of an account to the next."""
        ...
