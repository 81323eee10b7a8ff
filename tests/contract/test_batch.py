"""Batches of payments are accepted whole or not at all, on both stores."""

from uuid import UUID

import pytest

from atomic_core.domain.errors import IdempotencyKeyReused, NotFound
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import InsertedPayment, NewPayment
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


def render(
    payment_id: UUID, payment: NewPayment, _inserted: InsertedPayment | None
) -> StoredResponse:
    return StoredResponse(202, f"{payment_id} {payment.money.amount}".encode())


def build_item(
    merchant_id: UUID, amount: int, key: str | None = None, currency: str = "USD"
) -> BatchItem:
    payment = NewPayment(merchant_id, Money(amount, currency), "tok_visa", idempotency_key=key)
    if key is None:
        return BatchItem(payment)
    return BatchItem(
        payment, build_request(merchant_id, key, fingerprint=amount.to_bytes(32, "big"))
    )


def build_batch(merchant_id: UUID, *items: BatchItem) -> PaymentBatch:
    return PaymentBatch(merchant_id, items, render)


def get_amounts(results: list[IdempotentResult]) -> list[int]:
    return [int(result.response.body.split()[1]) for result in results]


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


def test_batch_is_accepted_in_order_and_settled(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    items = [build_item(merchant_id, n + 1, f"key {n}" if n % 2 else None) for n in range(50)]
    results = application.payments.create_batch(build_batch(merchant_id, *items))
    assert get_amounts(list(results)) == list(range(1, 51))
    assert not any(result.replayed for result in results)
    assert Job.SETTLE in application.job_queue.notified_jobs  # type: ignore[attr-defined]
    assert application.settlement.settle() == 50
    report = application.ledger.verify()
    assert (report.is_clean, report.payments, report.transactions) == (True, 50, 50)


def test_batch_opens_missing_accounts(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    items = [build_item(merchant_id, 1, currency=currency) for currency in ("USD", "EUR", "USD")]
    application.payments.create_batch(build_batch(merchant_id, *items))
    # Two merchant accounts, and two system accounts per currency.
    assert application.ledger.verify().accounts == 6


def test_replayed_items_return_first_response_without_new_payment(
    store: Store, merchant_id: UUID
) -> None:
    application = build_application(store.begin)
    first = application.payments.create_batch(
        build_batch(merchant_id, build_item(merchant_id, 1, "a"), build_item(merchant_id, 2, "b"))
    )
    second = application.payments.create_batch(
        build_batch(merchant_id, build_item(merchant_id, 2, "b"), build_item(merchant_id, 3, "c"))
    )
    assert [result.replayed for result in second] == [True, False]
    assert second[0].response == first[1].response
    assert application.ledger.verify().payments == 3


def test_key_reused_for_another_request_refuses_whole_batch(
    store: Store, merchant_id: UUID
) -> None:
    application = build_application(store.begin)
    application.payments.create_batch(build_batch(merchant_id, build_item(merchant_id, 1, "a")))
    items = [build_item(merchant_id, 5, "new"), build_item(merchant_id, 9, "a")]
    with pytest.raises(IdempotencyKeyReused) as error:
        application.payments.create_batch(build_batch(merchant_id, *items))
    assert error.value.details
    assert list(error.value.details) == ["payments.1.idempotencyKey"]
    assert application.ledger.verify().payments == 1
    with store.begin() as work:
        assert list(work.idempotency.find_records(merchant_id, ["a", "new"])) == ["a"]


def test_stored_responses_are_found_by_key_and_merchant(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    other_id = add_merchant(store.begin)
    application.payments.create_batch(build_batch(merchant_id, build_item(merchant_id, 1, "a")))
    application.payments.create_batch(
        build_batch(other_id, build_item(other_id, 2, "a"), build_item(other_id, 3, "b"))
    )
    with store.begin() as work:
        records = work.idempotency.find_records(merchant_id, ["a", "b", "c"])
        assert work.idempotency.find_records(merchant_id, []) == {}
    assert list(records) == ["a"]
    assert records["a"].response.body.endswith(b" 1")
    assert records["a"].fingerprint == (1).to_bytes(32, "big")


def test_expired_key_is_taken_over(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    open_account(store.begin, merchant_id)
    expired = build_request(merchant_id, "a", retention=NOW)
    payment = NewPayment(merchant_id, Money(1, "USD"), "tok_visa", idempotency_key="a")
    application.payments.create_batch(build_batch(merchant_id, BatchItem(payment, expired)))
    [result] = application.payments.create_batch(
        build_batch(merchant_id, build_item(merchant_id, 2, "a"))
    )
    assert not result.replayed


def test_batch_of_unknown_merchant_raises_not_found(store: Store) -> None:
    unknown_id = IDS.new_id()
    with pytest.raises(NotFound):
        build_application(store.begin).payments.create_batch(
            build_batch(unknown_id, build_item(unknown_id, 1))
        )


def test_concurrent_overlapping_batches_create_each_payment_once(
    store: Store, merchant_id: UUID
) -> None:
    """In opposite orders: batches that claimed their keys in the order of items would deadlock."""
    application = build_application(store.begin)
    open_account(store.begin, merchant_id)
    items = [build_item(merchant_id, n + 1, f"key {n:02}") for n in range(40)]
    batches = [build_batch(merchant_id, *items), build_batch(merchant_id, *reversed(items))]
    for results in run_concurrently(
        [lambda batch=batch: application.payments.create_batch(batch) for batch in batches * 4]
    ):
        assert sorted(get_amounts(list(results))) == list(range(1, 41))
    assert application.ledger.verify().payments == 40
