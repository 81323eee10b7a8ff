"""Finding things again, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import NotFound
from atomic_core.domain.lists import (
    AccountFilter,
    BookedEntry,
    CreatedFilter,
    Page,
    PaymentFilter,
    Position,
    RefundFilter,
    T,
)
from atomic_core.domain.payments import Lookup, Payment
from atomic_core.domain.refunds import Refund
from atomic_core.ports.unit_of_work import Begin


@dataclass(frozen=True, slots=True)
class ListPayments:
    """A merchant's payments, newest first."""

    begin: Begin

    def __call__(
        self, merchant_id: UUID, wanted: PaymentFilter, after: Position | None, limit: int
    ) -> Page[Payment]:
        with self.begin() as work:
            return _page(work.lists.payments(merchant_id, wanted, after, limit + 1), limit)


@dataclass(frozen=True, slots=True)
class ListRefunds:
    """A merchant's refunds, newest first."""

    begin: Begin

    def __call__(
        self, merchant_id: UUID, wanted: RefundFilter, after: Position | None, limit: int
    ) -> Page[Refund]:
        with self.begin() as work:
            return _page(work.lists.refunds(merchant_id, wanted, after, limit + 1), limit)

    def of_payment(
        self, merchant_id: UUID, wanted: RefundFilter, after: Position | None, limit: int
    ) -> Page[Refund]:
        """Of the payment that is asked for. Raises NotFound if it is not the merchant's."""
        if wanted.payment_id is None:
            raise ValueError("no payment is asked for")
        with self.begin() as work:
            if work.payments.find([Lookup(merchant_id, wanted.payment_id)]) == [None]:
                raise NotFound("There is no such payment.")
            return _page(work.lists.refunds(merchant_id, wanted, after, limit + 1), limit)


@dataclass(frozen=True, slots=True)
class ListAccounts:
    """A merchant's accounts, newest first."""

    begin: Begin

    def __call__(
        self, merchant_id: UUID, wanted: AccountFilter, after: Position | None, limit: int
    ) -> Page[Account]:
        with self.begin() as work:
            return _page(work.lists.accounts(merchant_id, wanted, after, limit + 1), limit)


@dataclass(frozen=True, slots=True)
class ListEntries:
    """The entries of a merchant's account, newest first. Raises NotFound, for another
    merchant's account too."""

    begin: Begin

    def __call__(
        self,
        merchant_id: UUID,
        account_id: UUID,
        wanted: CreatedFilter,
        after: int | None,
        limit: int,
    ) -> Page[BookedEntry]:
        with self.begin() as work:
            if work.accounts.get(merchant_id, account_id) is None:
                raise NotFound("There is no such account.")
            return _page(work.lists.entries(account_id, wanted, after, limit + 1), limit)


def _page(found: Sequence[T], limit: int) -> Page[T]:
    """One more than is shown was asked for, to know whether there is more."""
    return Page(found[:limit], more=len(found) > limit)
