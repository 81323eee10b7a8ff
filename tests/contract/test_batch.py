"""A batch of payments is accepted whole or not at all, on both stores."""

from datetime import datetime
from uuid import UUID

import pytest

from atomic_core.domain.errors import IdempotencyKeyReused, NotFound
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.idempotency import IdempotentResult
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from support import (
    IDS,
    NOW,
    Store,
    add_merchant,
    build_application,
    build_request,
    open_account,
    run_concurrently,
)


def render(payment_id: UUID, order: NewPayment, _moment: datetime | None) -> StoredResponse:
    return StoredResponse(202, f"{payment_id} {order.money.amount}".encode())


def item(
    merchant_id: UUID, amount: int, key: str | None = None, currency: str = "USD"
) -> BatchItem:
    order = NewPayment(merchant_id, Money(amount, currency), "tok_visa", idempotency_key=key)
    if key is None:
        return BatchItem(order)
    return BatchItem(order, build_request(merchant_id, key, fingerprint=amount.to_bytes(32, "big")))


def batch(merchant_id: UUID, *items: BatchItem) -> PaymentBatch:
    return PaymentBatch(merchant_id, items, render)


def amounts(answers: list[IdempotentResult]) -> list[int]:
    return [int(answer.response.body.split()[1]) for answer in answers]


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


def test_batch_is_accepted_in_order_and_settled(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    items = [item(merchant_id, n + 1, f"key {n}" if n % 2 else None) for n in range(50)]
    answers = application.payments.create_batch(batch(merchant_id, *items))
    assert amounts(list(answers)) == list(range(1, 51))
    assert not any(answer.replayed for answer in answers)
    assert Job.SETTLE in application.job_queue.notified_jobs  # type: ignore[attr-defined]
    assert application.settlement.settle() == 50
    report = application.ledger.verify()
    assert (report.is_clean, report.payments, report.transactions) == (True, 50, 50)


def test_batch_opens_missing_accounts(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    items = [item(merchant_id, 1, currency=currency) for currency in ("USD", "EUR", "USD")]
    application.payments.create_batch(batch(merchant_id, *items))
    # Two of the merchant's, and the World of each currency.
    assert application.ledger.verify().accounts == 6


def test_replayed_items_return_first_response_without_new_payment(
    store: Store, merchant_id: UUID
) -> None:
    application = build_application(store.begin)
    first = application.payments.create_batch(
        batch(merchant_id, item(merchant_id, 1, "a"), item(merchant_id, 2, "b"))
    )
    second = application.payments.create_batch(
        batch(merchant_id, item(merchant_id, 2, "b"), item(merchant_id, 3, "c"))
    )
    assert [answer.replayed for answer in second] == [True, False]
    assert second[0].response == first[1].response
    assert application.ledger.verify().payments == 3


def test_key_reused_for_another_request_refuses_whole_batch(
    store: Store, merchant_id: UUID
) -> None:
    application = build_application(store.begin)
    application.payments.create_batch(batch(merchant_id, item(merchant_id, 1, "a")))
    items = [item(merchant_id, 5, "new"), item(merchant_id, 9, "a")]
    with pytest.raises(IdempotencyKeyReused) as refused:
        application.payments.create_batch(batch(merchant_id, *items))
    assert refused.value.details
    assert list(refused.value.details) == ["payments.1.idempotencyKey"]
    assert application.ledger.verify().payments == 1
    with store.begin() as work:
        assert list(work.idempotency.find_records(merchant_id, ["a", "new"])) == ["a"]


def test_stored_responses_are_found_by_key_and_merchant(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    other = add_merchant(store.begin)
    application.payments.create_batch(batch(merchant_id, item(merchant_id, 1, "a")))
    application.payments.create_batch(batch(other, item(other, 2, "a"), item(other, 3, "b")))
    with store.begin() as work:
        kept = work.idempotency.find_records(merchant_id, ["a", "b", "c"])
        assert work.idempotency.find_records(merchant_id, []) == {}
    assert list(kept) == ["a"]
    assert kept["a"].response.body.endswith(b" 1")
    assert kept["a"].fingerprint == (1).to_bytes(32, "big")


def test_expired_key_is_taken_over(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    open_account(store.begin, merchant_id)
    expired = build_request(merchant_id, "a", retention=NOW)
    order = NewPayment(merchant_id, Money(1, "USD"), "tok_visa", idempotency_key="a")
    application.payments.create_batch(batch(merchant_id, BatchItem(order, expired)))
    [answer] = application.payments.create_batch(batch(merchant_id, item(merchant_id, 2, "a")))
    assert not answer.replayed


def test_batch_of_unknown_merchant_raises_not_found(store: Store) -> None:
    nobody = IDS.new_id()
    with pytest.raises(NotFound):
        build_application(store.begin).payments.create_batch(batch(nobody, item(nobody, 1)))


def test_concurrent_overlapping_batches_create_each_payment_once(
    store: Store, merchant_id: UUID
) -> None:
    """In opposite orders, so that they would wait in a circle if each took keys as they come."""
    application = build_application(store.begin)
    open_account(store.begin, merchant_id)
    items = [item(merchant_id, n + 1, f"key {n:02}") for n in range(40)]
    ways = [batch(merchant_id, *items), batch(merchant_id, *reversed(items))]
    for answers in run_concurrently(
        [lambda way=way: application.payments.create_batch(way) for way in ways * 4]
    ):
        assert sorted(amounts(list(answers))) == list(range(1, 41))
    assert application.ledger.verify().payments == 40
