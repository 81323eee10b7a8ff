"""Lists of a merchant's payments, refunds, accounts and entries, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import NotFound
from atomic_core.domain.lists import (
    AccountEntry,
    AccountFilter,
    CreatedFilter,
    Page,
    PaymentFilter,
    Position,
    RefundFilter,
    T,
)
from atomic_core.domain.payments import Payment, PaymentLookup
from atomic_core.domain.refunds import Refund
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.refunds import MAX_REFUNDS


@dataclass(frozen=True, slots=True)
class ListPayments:
    """A merchant's payments, newest first."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, filters: PaymentFilter, after: Position | None, limit: int
    ) -> Page[Payment]:
        with self.begin() as work:
            return _build_page(
                work.lists.list_payments(merchant_id, filters, after, limit + 1), limit
            )


@dataclass(frozen=True, slots=True)
class ListRefunds:
    """A merchant's refunds, newest first."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, filters: RefundFilter, after: Position | None, limit: int
    ) -> Page[Refund]:
        with self.begin() as work:
            return _build_page(
                work.lists.list_refunds(merchant_id, filters, after, limit + 1), limit
            )


@dataclass(frozen=True, slots=True)
class ListPaymentRefunds:
    """The refunds of one payment, newest first: `filters.payment_id` must be set. Raises NotFound
    unless the payment is the merchant's."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, filters: RefundFilter, after: Position | None, limit: int
    ) -> Page[Refund]:
        if filters.payment_id is None:
            raise ValueError("filters.payment_id is required")
        with self.begin() as work:
            _get_payment(work, merchant_id, filters.payment_id)
            return _build_page(
                work.lists.list_refunds(merchant_id, filters, after, limit + 1), limit
            )


@dataclass(frozen=True, slots=True)
class ListAccounts:
    """A merchant's accounts, newest first."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, filters: AccountFilter, after: Position | None, limit: int
    ) -> Page[Account]:
        with self.begin() as work:
            return _build_page(
                work.lists.list_accounts(merchant_id, filters, after, limit + 1), limit
            )


@dataclass(frozen=True, slots=True)
class ListEntries:
    """The entries of a merchant's account, newest first. Raises NotFound, also for another
    merchant's account."""

    begin: UnitOfWorkFactory

    def __call__(
        self,
        merchant_id: UUID,
        account_id: UUID,
        filters: CreatedFilter,
        after: int | None,
        limit: int,
    ) -> Page[AccountEntry]:
        with self.begin() as work:
            if work.accounts.get(merchant_id, account_id) is None:
                raise NotFound("No account has this id.")
            return _build_page(
                work.lists.list_entries(account_id, filters, after, limit + 1), limit
            )


@dataclass(frozen=True, slots=True)
class ExpandedPayment:
    """A payment with its refunds and entries; None for those that were not requested."""

    payment: Payment
    refunds: Sequence[Refund] | None = None
    entries: Sequence[AccountEntry] | None = None


@dataclass(frozen=True, slots=True)
class ExpandPayment:
    """A payment of this merchant with its refunds, newest first, and its entries in the merchant's
    account, oldest first. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, payment_id: UUID, *, refunds: bool, entries: bool
    ) -> ExpandedPayment:
        with self.begin() as work:
            payment = _get_payment(work, merchant_id, payment_id)
            return ExpandedPayment(
                payment,
                work.refunds.list_by_payment(payment_id, MAX_REFUNDS) if refunds else None,
                _list_payment_entries(work, payment) if entries else None,
            )


def _get_payment(work: UnitOfWork, merchant_id: UUID, payment_id: UUID) -> Payment:
    [payment] = work.payments.find([PaymentLookup(merchant_id, payment_id)])
    if payment is None:
        raise NotFound("No payment has this id.")
    return payment


def _list_payment_entries(work: UnitOfWork, payment: Payment) -> Sequence[AccountEntry]:
    return [
        AccountEntry(
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
        for transaction, entries in work.ledger.list_by_payment(payment.id)
        for entry in entries
        if entry.account_id == payment.account_id
    ]


def _build_page(items: Sequence[T], limit: int) -> Page[T]:
    """`items` has one more than `limit` if more follow."""
    return Page(items[:limit], has_more=len(items) > limit)
