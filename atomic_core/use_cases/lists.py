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
from atomic_core.ports.unit_of_work import Begin, UnitOfWork
from atomic_core.use_cases.refunds import MAX_REFUNDS


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
            _payment(work, merchant_id, wanted.payment_id)
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


@dataclass(frozen=True, slots=True)
class ExpandedPayment:
    """A payment, with what of it was asked for besides; None for what was not."""

    payment: Payment
    refunds: Sequence[Refund] | None = None
    entries: Sequence[BookedEntry] | None = None


@dataclass(frozen=True, slots=True)
class ExpandPayment:
    """A payment of this merchant with its refunds, newest first, or with its entries in the
    merchant's account, oldest first. (What was posted to other accounts is not the merchant's to
    see.) Raises NotFound."""

    begin: Begin

    def __call__(
        self, merchant_id: UUID, payment_id: UUID, *, refunds: bool, entries: bool
    ) -> ExpandedPayment:
        with self.begin() as work:
            payment = _payment(work, merchant_id, payment_id)
            return ExpandedPayment(
                payment,
                work.refunds.of_payment(payment_id, MAX_REFUNDS) if refunds else None,
                _entries(work, payment) if entries else None,
            )


def _payment(work: UnitOfWork, merchant_id: UUID, payment_id: UUID) -> Payment:
    [payment] = work.payments.find([Lookup(merchant_id, payment_id)])
    if payment is None:
        raise NotFound("There is no such payment.")
    return payment


def _entries(work: UnitOfWork, payment: Payment) -> Sequence[BookedEntry]:
    return [
        BookedEntry(
            account_id=entry.account_id,
            sequence=entry.sequence,
            transaction_id=transaction.id,
            payment_id=payment.id,
            refund_id=transaction.refund_id,
            kind=transaction.kind,
            amount=entry.amount,
            balance_after=entry.balance_after,
            posted_at=transaction.posted_at,
        )
        for transaction, entries in work.ledger.of_payment(payment.id)
        for entry in entries
        if entry.account_id == payment.account_id
    ]


def _page(found: Sequence[T], limit: int) -> Page[T]:
    """One more than is shown was asked for, to know whether there is more."""
    return Page(found[:limit], more=len(found) > limit)
