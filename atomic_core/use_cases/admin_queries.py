"""What operators ask, of everybody's. Bounds are the caller's to give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.accounts import Account, AccountType
from atomic_core.domain.admin_queries import (
    AccountDetails,
    AdminPayment,
    AdminRefund,
    MerchantDetails,
    SystemAccounts,
)
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.lists import AccountFilter, CreatedFilter, PaymentFilter
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.money import CURRENCY_EXPONENTS
from atomic_core.domain.payments import Payment, Status
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.refunds import MAX_REFUNDS
from atomic_core.use_cases.timeline import MAX_EVENTS, TimelineEvent, build_timeline


@dataclass(frozen=True, slots=True)
class ListAllMerchants:
    """Newest first."""

    begin: UnitOfWorkFactory

    def __call__(self, limit: int) -> Sequence[Merchant]:
        with self.begin() as work:
            return work.admin_queries.list_merchants(limit)


@dataclass(frozen=True, slots=True)
class GetMerchantDetails:
    """A merchant, up to `limit` of their accounts, their fees and keys. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, limit: int) -> MerchantDetails:
        with self.begin() as work:
            merchant = work.merchants.get(merchant_id)
            if merchant is None:
                raise NotFound("There is no such merchant.")
            accounts = work.lists.list_accounts(merchant_id, AccountFilter(), None, limit)
            fees, keys = (
                work.fees.list_by_merchant(merchant_id),
                work.merchants.list_keys(merchant_id),
            )
            return MerchantDetails(merchant, accounts[::-1], fees, keys)


@dataclass(frozen=True, slots=True)
class ListAllAccounts:
    """Merchants' accounts, newest first; of one merchant, in one currency, if they are given.
    Raises NotFound if there is no such merchant, ValidationFailed if no such currency."""

    begin: UnitOfWorkFactory

    def __call__(
        self, limit: int, merchant_id: UUID | None = None, currency: str | None = None
    ) -> Sequence[Account]:
        if currency is not None and currency not in CURRENCY_EXPONENTS:
            raise ValidationFailed(details={"currency": ["Must be an ISO 4217 currency code."]})
        with self.begin() as work:
            _check_merchant(work, merchant_id)
            if merchant_id is None:
                return work.admin_queries.list_accounts(limit, currency)
            return work.lists.list_accounts(
                merchant_id, AccountFilter(currency=currency), None, limit
            )


@dataclass(frozen=True, slots=True)
class GetAccountDetails:
    """Anybody's account, with up to `limit` of its last entries. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, account_id: UUID, limit: int) -> AccountDetails:
        with self.begin() as work:
            account = work.admin_queries.get_account(account_id)
            if account is None:
                raise NotFound("There is no such account.")
            return AccountDetails(
                account, work.lists.list_entries(account_id, CreatedFilter(), None, limit)
            )


@dataclass(frozen=True, slots=True)
class GetSystemAccounts:
    """The house's own accounts, by currency."""

    begin: UnitOfWorkFactory

    def __call__(self) -> Mapping[str, SystemAccounts]:
        with self.begin() as work:
            accounts = work.admin_queries.list_system_accounts()
        found: dict[str, SystemAccounts] = {}
        for account in accounts:
            house = found.get(account.currency, SystemAccounts())
            is_world = account.type == AccountType.ASSET
            found[account.currency] = (
                house._replace(world=account) if is_world else house._replace(fees=account)
            )
        return found


@dataclass(frozen=True, slots=True)
class ListAllPayments:
    """Newest first; of one merchant, of one status, if they are given. Raises NotFound if there
    is no such merchant."""

    begin: UnitOfWorkFactory

    def __call__(
        self, limit: int, merchant_id: UUID | None = None, status: Status | None = None
    ) -> Sequence[Payment]:
        with self.begin() as work:
            _check_merchant(work, merchant_id)
            if merchant_id is None:
                return work.admin_queries.list_payments(limit, status)
            filters = PaymentFilter(statuses=frozenset({status} if status else ()))
            return work.lists.list_payments(merchant_id, filters, None, limit)


@dataclass(frozen=True, slots=True)
class PaymentDetails:
    """All that is kept of a payment."""

    admin_payment: AdminPayment
    refunds: Sequence[AdminRefund]
    """Newest first."""
    events: Sequence[TimelineEvent]
    """Its whole story, in the order of its times."""


@dataclass(frozen=True, slots=True)
class GetPaymentDetails:
    """All that is kept of anybody's payment. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, payment_id: UUID) -> PaymentDetails:
        with self.begin() as work:
            overseen = work.admin_queries.get_payment(payment_id)
            if overseen is None:
                raise NotFound("There is no such payment.")
            refunds = work.admin_queries.list_refunds(payment_id, MAX_REFUNDS)
            events = work.events.list_by_payment(payment_id, MAX_EVENTS)
            posted = work.ledger.list_by_payment(payment_id)
        given_back = [each.refund for each in refunds]
        timeline = build_timeline(overseen.payment, given_back, events, posted)
        return PaymentDetails(overseen, refunds, timeline.events)


@dataclass(frozen=True, slots=True)
class RetryPayment:
    """Make the open work of a payment or refund due at once, and ring the bell for it.

    Ends its back-off and its lease, as if they were over; the card network's faults still count.
    Whoever has it in hand may finish it, unless somebody else takes it up first: the fence is
    theirs, and stays as it is. Raises NotFound; Conflict if there is nothing open. Returns it as
    it was before.
    """

    begin: UnitOfWorkFactory
    job_queue: JobQueue

    def __call__(self, id: UUID) -> AdminPayment | AdminRefund:
        with self.begin() as work:
            before = work.admin_queries.get_payment(id) or work.admin_queries.get_refund(id)
            if before is None:
                raise NotFound("There is no such payment or refund.")
            is_payment = isinstance(before, AdminPayment)
            repository = work.payments if is_payment else work.refunds
            if not repository.make_due(id):
                raise Conflict(_not_open(work, id))
            work.commit()
        self.job_queue.notify(Job.SETTLE)
        return before


def _not_open(work: UnitOfWork, id: UUID) -> str:
    """Read again: it may have been settled since it was seen."""
    payment, refund = work.admin_queries.get_payment(id), work.admin_queries.get_refund(id)
    what, status = "refund", refund and refund.refund.status
    if payment:
        what, status = "payment", payment.payment.status
    if status is Status.AUTHORIZED:
        return f"This {what} is AUTHORIZED: it waits for its capture, not for a settler."
    return f"This {what} is settled as {status}: there is nothing to try again."


def _check_merchant(work: UnitOfWork, merchant_id: UUID | None) -> None:
    if merchant_id and work.merchants.get(merchant_id) is None:
        raise NotFound("There is no such merchant.")
