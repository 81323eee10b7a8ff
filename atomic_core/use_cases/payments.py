"""Creating and reading payments. `settlement.py` settles them."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.errors import NotFound, StorageRefused
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.merchants import Caller
from atomic_core.domain.payments import (
    InsertedPayment,
    NewPayment,
    Payment,
    PaymentInsert,
    PaymentLookup,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.payment_store import PaymentStore
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.accounts import check_open
from atomic_core.use_cases.idempotency import Command, IdempotentResult, PerformOnce
from atomic_core.use_cases.ledger import NewAccount, open_account
from atomic_core.use_cases.merchants import RequireActiveApiKey


@dataclass(frozen=True, slots=True)
class RecordPayment(Command[NewPayment, Payment]):
    """Insert a payment as PENDING, to be settled later. Moves no money.

    A success will credit the merchant's default account in the currency, which is opened if there
    is none. Raises NotFound if the merchant does not exist, and AccountFrozen or AccountClosed if
    that account takes no payments.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue
    default_network: str = DEFAULT_NETWORK
    """The card network of merchants that have none of their own."""

    def execute(self, work: UnitOfWork, new_payment: NewPayment) -> Payment:
        insert = PaymentInsert(self.ids.new_id(), new_payment, network=self.default_network)
        inserted = _insert_payment(work, insert)
        if inserted is None:
            self.ensure_account(work, new_payment)
            inserted = _insert_payment(work, insert)
        if inserted is None:
            raise StorageRefused("a payment was not inserted although its account exists")
        return insert.to_payment(inserted)

    def ensure_account(self, work: UnitOfWork, new_payment: NewPayment) -> None:
        """Open the merchant's default account in the payment's currency unless it exists. Raises
        AccountFrozen or AccountClosed."""
        merchant_id, currency = new_payment.merchant_id, new_payment.money.currency
        account = work.accounts.get_default_account(merchant_id, currency)
        if account is None:
            # Read again under the merchant's lock, so that concurrent payments open one account.
            work.merchants.lock(merchant_id)
            account = work.accounts.get_default_account(merchant_id, currency)
        if account:
            check_open(account)
        else:
            new_account = NewAccount(merchant_id, currency, currency, new_payment.origin)
            open_account(work, self.ids, new_account)

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


def _insert_payment(work: UnitOfWork, insert: PaymentInsert) -> InsertedPayment | None:
    return work.payments.insert([insert])[0]


RenderPayment = Callable[[UUID, NewPayment, InsertedPayment | None], StoredResponse]
"""Renders the response to a created payment from its id, its request and what is known once it is
inserted. Before, the body contains COMMIT_TIME_PLACEHOLDER and ACCOUNT_ID_PLACEHOLDER."""


def complete_response(response: StoredResponse, inserted: InsertedPayment) -> StoredResponse:
    """With what is known once the payment is inserted in place of the placeholders."""
    return response.with_account_id(inserted.account_id).with_commit_time(inserted.created_at)


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """Create a payment for an API caller, once per Idempotency-Key.

    The common case is one statement of the payment store, which also checks that the API key is
    active. If it cannot insert the payment (repeated Idempotency-Key, first payment in a currency,
    revoked API key), the payment is created in a unit of work, which raises the specific error:
    Unauthorized, or what RecordPayment and PerformOnce raise.
    """

    payment_store: PaymentStore
    record_payment: RecordPayment
    perform_once: PerformOnce
    require_active_api_key: RequireActiveApiKey

    def __call__(
        self,
        caller: Caller,
        new_payment: NewPayment,
        request: IdempotentRequest | None,
        render: RenderPayment,
    ) -> IdempotentResult:
        payment_id = self.record_payment.ids.new_id()
        response = render(payment_id, new_payment, None)
        idempotency = (request, response) if request else None
        network = self.record_payment.default_network
        [inserted] = self.payment_store.insert(
            [PaymentInsert(payment_id, new_payment, caller.key_id, idempotency, network)]
        )
        if inserted is None:
            return self._create_in_unit_of_work(caller, new_payment, request, render)
        self.record_payment.after_commit()
        return IdempotentResult(complete_response(response, inserted), replayed=False)

    def _create_in_unit_of_work(
        self,
        caller: Caller,
        new_payment: NewPayment,
        request: IdempotentRequest | None,
        render: RenderPayment,
    ) -> IdempotentResult:
        self.require_active_api_key(caller)

        def render_payment(payment: Payment) -> StoredResponse:
            inserted = InsertedPayment(payment.account_id, payment.created_at)
            return render(payment.id, new_payment, inserted)

        if request is None:
            response = render_payment(self.record_payment(new_payment))
            return IdempotentResult(response, replayed=False)
        return self.perform_once(request, self.record_payment, new_payment, render_payment)


@dataclass(frozen=True, slots=True)
class GetPayment:
    """A payment of this merchant. Raises NotFound, also for another merchant's payment."""

    payment_store: PaymentStore
    require_active_api_key: RequireActiveApiKey

    def __call__(self, merchant_id: UUID, payment_id: UUID) -> Payment:
        return self._find(PaymentLookup(merchant_id, payment_id))

    def for_caller(self, caller: Caller, payment_id: UUID) -> Payment:
        """A payment of the caller. The same statement checks that its API key is active. Raises
        NotFound and Unauthorized."""
        try:
            return self._find(PaymentLookup(caller.merchant_id, payment_id, caller.key_id))
        except NotFound:
            self.require_active_api_key(caller)
            raise

    def _find(self, lookup: PaymentLookup) -> Payment:
        [payment] = self.payment_store.find([lookup])
        if payment is None:
            raise NotFound("No payment has this id.")
        return payment
