"""The way of a payment through the web door. What settles it is in settling.py."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

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
from atomic_core.use_cases.idempotency import Command, IdempotentResult, PerformOnce
from atomic_core.use_cases.merchants import RequireActiveApiKey


@dataclass(frozen=True, slots=True)
class RecordPayment(Command[NewPayment, Payment]):
    """Record a payment to be settled later. Answers at once; moves no money.

    Credits the merchant's first account in the currency, and opens one if there is none.
    Raises NotFound if there is no such merchant.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue

    def execute(self, work: UnitOfWork, order: NewPayment) -> Payment:
        insert = PaymentInsert(self.ids.new_id(), order)
        accepted = _accept_one(work, insert)
        if accepted is None:
            self.ensure_account(work, order.merchant_id, order.money.currency)
            accepted = _accept_one(work, insert)
        if accepted is None:
            raise StorageRefused("a payment was not accepted although its account is there")
        return insert.to_payment(accepted)

    def ensure_account(self, work: UnitOfWork, merchant_id: UUID, currency: str) -> None:
        """Open the merchant's first account in the currency unless there is one."""
        if work.accounts.get_default_account_id(merchant_id, currency) is not None:
            return
        # Under the merchant's lock, so that two first payments open one account.
        work.merchants.lock(merchant_id)
        if work.accounts.get_default_account_id(merchant_id, currency) is None:
            work.accounts.open(self.ids.new_id(), merchant_id, currency, currency)

    def after_commit(self) -> None:
        self.job_queue.notify(Job.SETTLE)


def _accept_one(work: UnitOfWork, insert: PaymentInsert) -> InsertedPayment | None:
    return work.payments.insert([insert])[0]


RenderPayment = Callable[[UUID, NewPayment, datetime | None], StoredResponse]
"""The answer to an accepted payment: its id, what was ordered, when it was recorded. Without the
moment, COMMIT_TIME_PLACEHOLDER stands in its place."""


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """RecordPayment for a caller of the API, once per Idempotency-Key.

    The usual case is one statement at the desk, in which the caller is confirmed. Everything
    else goes the long way: revoked keys, first payments in a currency, repeats. Raises
    Unauthorized and what RecordPayment and PerformOnce raise.
    """

    payment_store: PaymentStore
    record_payment: RecordPayment
    perform_once: PerformOnce
    confirm: RequireActiveApiKey

    def __call__(
        self,
        caller: Caller,
        order: NewPayment,
        request: IdempotentRequest | None,
        render: RenderPayment,
    ) -> IdempotentResult:
        payment_id = self.record_payment.ids.new_id()
        draft = render(payment_id, order, None)
        record = (request, draft) if request else None
        [accepted] = self.payment_store.insert(
            [PaymentInsert(payment_id, order, caller.key_id, record)]
        )
        if accepted is None:
            return self._create_in_unit_of_work(caller, order, request, render)
        self.record_payment.after_commit()
        return IdempotentResult(draft.with_commit_time(accepted.created_at), replayed=False)

    def _create_in_unit_of_work(
        self,
        caller: Caller,
        order: NewPayment,
        request: IdempotentRequest | None,
        render: RenderPayment,
    ) -> IdempotentResult:
        self.confirm(caller)

        def rendered(payment: Payment) -> StoredResponse:
            return render(payment.id, order, payment.created_at)

        if request is None:
            return IdempotentResult(rendered(self.record_payment(order)), replayed=False)
        return self.perform_once(request, self.record_payment, order, rendered)


@dataclass(frozen=True, slots=True)
class GetPayment:
    """A payment of this merchant. Raises NotFound, for another merchant's too."""

    payment_store: PaymentStore
    confirm: RequireActiveApiKey

    def __call__(self, merchant_id: UUID, payment_id: UUID) -> Payment:
        return self._found(PaymentLookup(merchant_id, payment_id))

    def for_caller(self, caller: Caller, payment_id: UUID) -> Payment:
        """The same for a caller of the API, confirmed by the same statement. Raises
        Unauthorized."""
        try:
            return self._found(PaymentLookup(caller.merchant_id, payment_id, caller.key_id))
        except NotFound:
            self.confirm(caller)
            raise

    def _found(self, lookup: PaymentLookup) -> Payment:
        [payment] = self.payment_store.find([lookup])
        if payment is None:
            raise NotFound("There is no such payment.")
        return payment
