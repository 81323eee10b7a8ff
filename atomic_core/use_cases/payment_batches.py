"""Creating many payments in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from atomic_core.domain.errors import Conflict, IdempotencyKeyInUse, IdempotencyKeyReused
from atomic_core.domain.idempotency import IdempotencyRecord, IdempotentRequest, StoredResponse
from atomic_core.domain.payments import InsertedPayment, NewPayment, PaymentInsert
from atomic_core.ports.job_queue import Job
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.accounts import check_open
from atomic_core.use_cases.idempotency import Command, IdempotentResult
from atomic_core.use_cases.payments import RecordPayment, RenderPayment, complete_response


class BatchItem(NamedTuple):
    """One payment of a batch. With a `request`, it is created once per that Idempotency-Key."""

    new_payment: NewPayment
    request: IdempotentRequest | None = None


@dataclass(frozen=True, slots=True)
class PaymentBatch:
    """Payments of one merchant, each with a different Idempotency-Key or none. `render` gives the
    response that each payment would get if it were created alone."""

    merchant_id: UUID
    items: Sequence[BatchItem]
    render: RenderPayment


@dataclass(frozen=True, slots=True)
class CreatePaymentBatch(Command[PaymentBatch, Sequence[IdempotentResult]]):
    """Create all payments of a batch or none, with one statement.

    Returns the result of each item in order; an item whose key was used before with the same
    request gets the stored response. Raises IdempotencyKeyReused, with the index of the item in
    its details, if a key belongs to a different request; IdempotencyKeyInUse as PerformOnce; and
    what RecordPayment raises.
    """

    begin: UnitOfWorkFactory
    record_payment: RecordPayment

    def execute(self, work: UnitOfWork, batch: PaymentBatch) -> Sequence[IdempotentResult]:
        self._ensure_accounts(work, batch)
        responses: list[StoredResponse] = []
        inserts: list[PaymentInsert] = []
        network = self.record_payment.default_network
        for item in batch.items:
            payment_id = self.record_payment.ids.new_id()
            response = batch.render(payment_id, item.new_payment, None)
            idempotency = (item.request, response) if item.request else None
            inserts.append(PaymentInsert(payment_id, item.new_payment, None, idempotency, network))
            responses.append(response)
        inserted_payments = work.payments.insert(inserts)
        records = self._find_records(work, batch, inserted_payments)
        return [
            IdempotentResult(complete_response(responses[index], inserted), replayed=False)
            if inserted
            else _replay(work, index, item, records)
            for index, (item, inserted) in enumerate(
                zip(batch.items, inserted_payments, strict=True)
            )
        ]

    def list_keys(self, batch: PaymentBatch) -> Sequence[str]:
        return [item.request.key for item in batch.items if item.request]

    def _ensure_accounts(self, work: UnitOfWork, batch: PaymentBatch) -> None:
        """Open the default accounts that are missing, which locks the merchant. A request locks its
        keys first, so the keys of the batch are locked before: otherwise it could deadlock with a
        single payment that has one of them and waits for the merchant."""
        payments_by_currency = {
            item.new_payment.money.currency: item.new_payment for item in batch.items
        }
        missing = [
            payment
            for currency, payment in sorted(payments_by_currency.items())
            if work.accounts.get_default_account(batch.merchant_id, currency) is None
        ]
        keys = self.list_keys(batch)
        if missing and keys:
            work.idempotency.lock_keys(batch.merchant_id, keys)
        for new_payment in missing:
            self.record_payment.ensure_account(work, new_payment)

    def after_commit(self) -> None:
        self.record_payment.job_queue.notify(Job.SETTLE)

    def _find_records(
        self,
        work: UnitOfWork,
        batch: PaymentBatch,
        inserted_payments: Sequence[InsertedPayment | None],
    ) -> Mapping[str, IdempotencyRecord]:
        """The records of the keys that were used before."""
        keys = [
            item.request.key
            for item, inserted in zip(batch.items, inserted_payments, strict=True)
            if inserted is None and item.request
        ]
        return work.idempotency.find_records(batch.merchant_id, keys) if keys else {}


def _replay(
    work: UnitOfWork, index: int, item: BatchItem, records: Mapping[str, IdempotencyRecord]
) -> IdempotentResult:
    record = records.get(item.request.key) if item.request else None
    if record is None or item.request is None:
        _check_account(work, index, item)
        # The key was in use at the insert, and was purged before its record was read.
        raise IdempotencyKeyInUse
    try:
        return IdempotentResult(record.replay_for(item.request), replayed=True)
    except IdempotencyKeyReused as error:
        name = f"payments.{index}.idempotencyKey"
        raise IdempotencyKeyReused(details={name: [error.message]}) from error


def _check_account(work: UnitOfWork, index: int, item: BatchItem) -> None:
    """Raises AccountFrozen or AccountClosed if the account takes no payments."""
    currency = item.new_payment.money.currency
    account = work.accounts.get_default_account(item.new_payment.merchant_id, currency)
    if account is None:
        return
    try:
        check_open(account)
    except Conflict as error:
        details = {f"payments.{index}.currency": [error.message]}
        raise type(error)(details=details, facts=error.facts) from error
