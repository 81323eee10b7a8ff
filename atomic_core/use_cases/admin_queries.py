"""Queries and actions of operators, across all merchants. The caller gives the limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account, AccountType
from atomic_core.domain.admin_queries import (
    AccountDetails,
    AccountHead,
    AdminPayment,
    AdminRefund,
    MerchantDetails,
    SystemAccounts,
    WalkedPage,
)
from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.lists import (
    AccountFilter,
    CreatedFilter,
    PaymentFilter,
    Position,
    RefundFilter,
)
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.money import CURRENCY_EXPONENTS
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import Refund
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.refunds import MAX_REFUNDS
from atomic_core.use_cases.timeline import (
    MAX_EVENTS,
    TimelineEvent,
    build_timeline,
    list_posted_disputes,
)


@dataclass(frozen=True, slots=True)
class ListAllMerchants:
    """All merchants, newest first; with `after`, those that follow this one. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, limit: int, after: UUID | None = None) -> Sequence[Merchant]:
        with self.begin() as work:
            _check_merchant(work, after)
            return work.admin_queries.list_merchants(limit, after)


@dataclass(frozen=True, slots=True)
class GetMerchantDetails:
    """A merchant with up to `limit` accounts, its fees and its API keys. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, limit: int) -> MerchantDetails:
        with self.begin() as work:
            merchant = work.merchants.get(merchant_id)
            if merchant is None:
                raise NotFound("No merchant has this id.")
            accounts = work.lists.list_accounts(merchant_id, AccountFilter(), None, limit)
            fees, keys = (
                work.fees.list_by_merchant(merchant_id),
                work.merchants.list_keys(merchant_id),
            )
            return MerchantDetails(merchant, accounts[::-1], fees, keys)


@dataclass(frozen=True, slots=True)
class ListAllAccounts:
    """Accounts of merchants, newest first, optionally of one merchant or in one currency; with
    `after`, those that follow this account. Raises NotFound for an unknown merchant or account,
    ValidationFailed for an unknown currency."""

    begin: UnitOfWorkFactory

    def __call__(
        self,
        limit: int,
        merchant_id: UUID | None = None,
        currency: str | None = None,
        after: UUID | None = None,
    ) -> Sequence[Account]:
        if currency is not None and currency not in CURRENCY_EXPONENTS:
            raise ValidationFailed(details={"currency": ["Must be an ISO 4217 currency code."]})
        with self.begin() as work:
            _check_merchant(work, merchant_id)
            last = work.admin_queries.get_account(after) if after else None
            if after and last is None:
                raise NotFound("No account has this id.")
            if merchant_id is None:
                return work.admin_queries.list_accounts(limit, currency, after)
            position = Position(last.created_at, last.id) if last else None
            return work.lists.list_accounts(
                merchant_id, AccountFilter(currency=currency), position, limit
            )


HEADS_PER_READ: Final = 1_000


@dataclass(frozen=True, slots=True)
class ListAccountHeads:
    """The sequence and head of every account, in the order of ids. Read in pages, so that the
    postings of a large ledger are not kept from being cleaned up meanwhile: an account that is
    posted to during the call has its head of before or after."""

    begin: UnitOfWorkFactory

    def __call__(self) -> Iterator[AccountHead]:
        after = UUID(int=0)
        while True:
            with self.begin() as work:
                heads = work.admin_queries.list_account_heads(after, HEADS_PER_READ)
            yield from heads
            if len(heads) < HEADS_PER_READ:
                return
            after = heads[-1].id


@dataclass(frozen=True, slots=True)
class GetAccountDetails:
    """An account of any merchant with up to `limit` of its newest entries. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, account_id: UUID, limit: int) -> AccountDetails:
        with self.begin() as work:
            account = work.admin_queries.get_account(account_id)
            if account is None:
                raise NotFound("No account has this id.")
            return AccountDetails(
                account, work.lists.list_entries(account_id, CreatedFilter(), None, limit)
            )


@dataclass(frozen=True, slots=True)
class GetSystemAccounts:
    """The system accounts by currency."""

    begin: UnitOfWorkFactory

    def __call__(self) -> Mapping[str, SystemAccounts]:
        with self.begin() as work:
            accounts = work.admin_queries.list_system_accounts()
        accounts_by_currency: dict[str, SystemAccounts] = {}
        for account in accounts:
            pair = accounts_by_currency.get(account.currency, SystemAccounts())
            is_world = account.type == AccountType.ASSET
            accounts_by_currency[account.currency] = (
                pair._replace(world=account) if is_world else pair._replace(fees=account)
            )
        return accounts_by_currency


@dataclass(frozen=True, slots=True)
class ListAllPayments:
    """Payments of all merchants, newest first, optionally of one merchant or of one status; with
    `after`, those that follow this payment. A page of one status may be short, or empty, although
    more follow. Raises NotFound for an unknown merchant or payment."""

    begin: UnitOfWorkFactory

    def __call__(
        self,
        limit: int,
        merchant_id: UUID | None = None,
        status: Status | None = None,
        after: UUID | None = None,
    ) -> WalkedPage[Payment]:
        with self.begin() as work:
            _check_merchant(work, merchant_id)
            last = work.admin_queries.get_payment(after) if after else None
            if after and last is None:
                raise NotFound("No payment has this id.")
            if merchant_id is None:
                return work.admin_queries.list_payments(limit, status, after)
            filters = PaymentFilter(statuses=frozenset({status} if status else ()))
            position = Position(last.payment.created_at, last.payment.id) if last else None
            payments = work.lists.list_payments(merchant_id, filters, position, limit)
            return WalkedPage(payments, payments[-1].id if len(payments) == limit else None)


@dataclass(frozen=True, slots=True)
class ListAllRefunds:
    """Refunds of all merchants, as ListAllPayments lists payments."""

    begin: UnitOfWorkFactory

    def __call__(
        self,
        limit: int,
        merchant_id: UUID | None = None,
        status: Status | None = None,
        after: UUID | None = None,
    ) -> WalkedPage[Refund]:
        with self.begin() as work:
            _check_merchant(work, merchant_id)
            last = work.admin_queries.get_refund(after) if after else None
            if after and last is None:
                raise NotFound("No refund has this id.")
            if merchant_id is None:
                return work.admin_queries.list_all_refunds(limit, status, after)
            filters = RefundFilter(statuses=frozenset({status} if status else ()))
            position = Position(last.refund.created_at, last.refund.id) if last else None
            refunds = work.lists.list_refunds(merchant_id, filters, position, limit)
            return WalkedPage(refunds, refunds[-1].id if len(refunds) == limit else None)


@dataclass(frozen=True, slots=True)
class PaymentDetails:
    """A payment with its refunds and its timeline."""

    admin_payment: AdminPayment
    refunds: Sequence[AdminRefund]
    """Newest first."""
    events: Sequence[TimelineEvent]
    """The payment's timeline, ordered by time."""


@dataclass(frozen=True, slots=True)
class GetPaymentDetails:
    """A payment of any merchant with its refunds and its timeline. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, payment_id: UUID) -> PaymentDetails:
        with self.begin() as work:
            admin_payment = work.admin_queries.get_payment(payment_id)
            if admin_payment is None:
                raise NotFound("No payment has this id.")
            refunds = work.admin_queries.list_refunds(payment_id, MAX_REFUNDS)
            events = work.events.list_by_payment(payment_id, MAX_EVENTS)
            transactions = work.ledger.list_by_payment(payment_id)
            disputes = list_posted_disputes(work, payment_id)
        timeline = build_timeline(
            admin_payment.payment, [row.refund for row in refunds], events, transactions, disputes
        )
        return PaymentDetails(admin_payment, refunds, timeline.events)


@dataclass(frozen=True, slots=True)
class RetryPayment:
    """Make an open payment or refund due at once and wake a worker.

    Ends its back-off and its lease; network faults still count. A worker that has claimed it may
    still settle it until another one claims it, because its attempt does not change. Raises
    NotFound; Conflict if it is not open. Audited, and an event of the payment. Returns the payment
    or refund as it was before.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue

    def __call__(self, id: UUID, origin: Origin = OPERATOR) -> AdminPayment | AdminRefund:
        with self.begin() as work:
            before = _find_item(work, id)
            if before is None:
                raise NotFound("No payment or refund has this id.")
            is_payment = isinstance(before, AdminPayment)
            repository = work.payments if is_payment else work.refunds
            if not repository.make_due(id):
                raise Conflict(_describe_closed_state(work, id))
            # It is locked now; before, a worker could claim it.
            work.events.add([_build_retry_event(_find_item(work, id) or before, origin)])
            work.audit_log.add(self._build_event(before, origin))
            work.commit()
        self.job_queue.notify(Job.SETTLE)
        return before

    def _build_event(self, item: AdminPayment | AdminRefund, origin: Origin) -> AuditEvent:
        if isinstance(item, AdminPayment):
            merchant_id = item.payment.merchant_id
            details = {"paymentId": str(item.payment.id)}
        else:
            merchant_id = item.refund.merchant_id
            details = {"paymentId": str(item.refund.payment_id), "refundId": str(item.refund.id)}
        event_type = AuditEventType.PAYMENT_RETRIED
        return AuditEvent(self.ids.new_id(), event_type, origin, merchant_id, details)


def _find_item(work: UnitOfWork, id: UUID) -> AdminPayment | AdminRefund | None:
    return work.admin_queries.get_payment(id) or work.admin_queries.get_refund(id)


def _build_retry_event(item: AdminPayment | AdminRefund, origin: Origin) -> Event:
    event_type = EventType.RETRY_REQUESTED
    if isinstance(item, AdminPayment):
        payment = item.payment
        return Event(payment.merchant_id, event_type, payment.id, payment.status, origin=origin)
    refund = item.refund
    return Event(
        refund.merchant_id,
        event_type,
        refund.payment_id,
        refund.status,
        refund.id,
        origin=origin,
    )


def _describe_closed_state(work: UnitOfWork, id: UUID) -> str:
    """Reads the status again, because it may have been settled since it was first read."""
    payment, refund = work.admin_queries.get_payment(id), work.admin_queries.get_refund(id)
    kind, status = "refund", refund and refund.refund.status
    if payment:
        kind, status = "payment", payment.payment.status
    if status is Status.AUTHORIZED:
        return f"This {kind} is AUTHORIZED: it waits for its capture, not for settlement."
    return f"This {kind} is settled as {status} and cannot be retried."


def _check_merchant(work: UnitOfWork, merchant_id: UUID | None) -> None:
    if merchant_id and work.merchants.get(merchant_id) is None:
        raise NotFound("No merchant has this id.")
