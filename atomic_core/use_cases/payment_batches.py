"""Many payments at once, each as if it had been asked for alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from atomic_core.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from atomic_core.domain.idempotency import IdempotencyRecord, IdempotentRequest, StoredResponse
from atomic_core.domain.payments import InsertedPayment, NewPayment, PaymentInsert
from atomic_core.ports.job_queue import Job
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command, IdempotentResult
from atomic_core.use_cases.payments import RecordPayment, RenderPayment


class BatchItem(NamedTuple):
    """One payment of a batch; with a `request`, to be made once under that request's key."""

    order: NewPayment
    request: IdempotentRequest | None = None


@dataclass(frozen=True, slots=True)
class PaymentBatch:
    """Payments of one merchant. No two of them share an Idempotency-Key. `render` gives the
    answer that each would get alone."""

    merchant_id: UUID
    items: Sequence[BatchItem]
    render: RenderPayment


@dataclass(frozen=True, slots=True)
class CreatePaymentBatch(Command[PaymentBatch, Sequence[IdempotentResult]]):
    """Accept all payments of a batch or none: in one unit of work, by one statement.

    Returns each one's answer in order; a payment whose key was used before for the same request
    is not made again, and its answer is the kept one. Raises IdempotencyKeyReused, naming the
    place, if a key belongs to another request; IdempotencyKeyInUse as PerformOnce; and what
    RecordPayment raises.
    """

    begin: UnitOfWorkFactory
    record_payment: RecordPayment

    def execute(self, work: UnitOfWork, order: PaymentBatch) -> Sequence[IdempotentResult]:
        # First, so that no key is held while the merchant's lock is waited for.
        for currency in sorted({item.order.money.currency for item in order.items}):
            self.record_payment.ensure_account(work, order.merchant_id, currency)
        drafts: list[StoredResponse] = []
        inserts: list[PaymentInsert] = []
        for item in order.items:
            payment_id = self.record_payment.ids.new_id()
            draft = order.render(payment_id, item.order, None)
            record = (item.request, draft) if item.request else None
            inserts.append(PaymentInsert(payment_id, item.order, None, record))
            drafts.append(draft)
        accepted = work.payments.insert(inserts)
        used = self._used_before(work, order, accepted)
        return [
            IdempotentResult(drafts[place].with_commit_time(each.created_at), replayed=False)
            if each
            else _replay(place, item, used)
            for place, (item, each) in enumerate(zip(order.items, accepted, strict=True))
        ]

    def after_commit(self) -> None:
        self.record_payment.job_queue.notify(Job.SETTLE)

    def _used_before(
        self, work: UnitOfWork, order: PaymentBatch, accepted: Sequence[InsertedPayment | None]
    ) -> Mapping[str, IdempotencyRecord]:
        keys = [
            item.request.key
            for item, each in zip(order.items, accepted, strict=True)
            if each is None and item.request
        ]
        return work.idempotency.find_records(order.merchant_id, keys) if keys else {}


def _replay(place: int, item: BatchItem, used: Mapping[str, IdempotencyRecord]) -> IdempotentResult:
    record = used.get(item.request.key) if item.request else None
    if record is None or item.request is None:
        # Taken when we came, and expired and purged by now.
        raise IdempotencyKeyInUse
    try:
        return IdempotentResult(record.replay_for(item.request), replayed=True)
    except IdempotencyKeyReused as reused:
        name = f"payments.{place}.idempotencyKey"
        raise IdempotencyKeyReused(details={name: [reused.message]}) from reused
