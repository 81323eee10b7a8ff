"""Claims and settlement of payments, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment, Status
from atomic_core.domain.posting import post
from atomic_core.domain.settlement import Claim, Settlement, build_posting
from support import (
    HOUR,
    IDS,
    NOW,
    Store,
    add_merchant,
    add_payment,
    build_payment,
    find_payment,
    open_account,
)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def account_id(store: Store, merchant_id: UUID) -> UUID:
    return open_account(store.begin, merchant_id)


@pytest.fixture
def payment_ids(store: Store, merchant_id: UUID, account_id: UUID) -> list[UUID]:
    """Three payments, oldest first."""
    ids = [IDS.new_id() for _ in range(3)]
    for id in ids:
        with store.begin() as work:
            add_payment(work, build_payment(merchant_id), id)
            work.commit()
    return ids


def claim_payments(store: Store, lease: timedelta = HOUR, limit: int = 100) -> Sequence[Claim]:
    with store.begin() as work:
        claims = work.payments.claim(limit, lease, NOW)
        work.commit()
    return claims


def get_status(store: Store, merchant_id: UUID, payment_id: UUID) -> Status:
    with store.begin() as work:
        payment = find_payment(work, merchant_id, payment_id)
    assert payment
    return payment.status


def test_inserted_payment_is_found_unchanged(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    new_payment = NewPayment(
        merchant_id, Money(2**53 - 1, "USD"), "tok_visa", "né “x”\n", "https://a.example/", "k"
    )
    id = IDS.new_id()
    with store.begin() as work:
        added = add_payment(work, new_payment, id)
        work.commit()
    with store.begin() as work:
        assert find_payment(work, merchant_id, id) == added
        assert find_payment(work, IDS.new_id(), id) is None
    assert (added.money, added.description) == (new_payment.money, new_payment.description)
    assert (added.webhook_url, added.idempotency_key) == (new_payment.webhook_url, "k")
    assert (added.status, added.failure_reason) == (Status.PENDING, None)
    assert added.created_at == added.updated_at


def test_oldest_payments_are_claimed_first(store: Store, payment_ids: list[UUID]) -> None:
    assert [claim.payment_id for claim in claim_payments(store, limit=2)] == payment_ids[:2]
    assert [claim.payment_id for claim in claim_payments(store, limit=2)] == payment_ids[2:]
    assert claim_payments(store) == []


def test_claim_contains_what_settling_needs(
    store: Store, merchant_id: UUID, account_id: UUID, payment_ids: list[UUID]
) -> None:
    first = claim_payments(store)[0]
    assert first == Claim(payment_ids[0], 1, 0, merchant_id, account_id, 5_000, "USD", "tok_visa")
    assert get_status(store, merchant_id, payment_ids[0]) is Status.PROCESSING


def test_overdue_by_excludes_payments_due_recently(store: Store, payment_ids: list[UUID]) -> None:
    with store.begin() as work:
        assert work.payments.claim(100, HOUR, overdue_by=HOUR) == []


def test_expired_lease_is_claimed_again_with_higher_attempt(
    store: Store, payment_ids: list[UUID]
) -> None:
    first = claim_payments(store, lease=NOW)
    second = claim_payments(store)
    assert [claim.attempt for claim in first] == [1, 1, 1]
    assert [(claim.payment_id, claim.attempt) for claim in second] == [
        (id, 2) for id in payment_ids
    ]


def test_reclaimed_payments_keep_their_order(store: Store, payment_ids: list[UUID]) -> None:
    claim_payments(store, lease=NOW, limit=2)
    assert [claim.payment_id for claim in claim_payments(store, limit=1)] == payment_ids[:1]
    assert [claim.payment_id for claim in claim_payments(store)] == payment_ids[1:]


def test_payments_are_not_claimed_before_lease_or_back_off_ends(
    store: Store, payment_ids: list[UUID]
) -> None:
    claim_payments(store)
    retry = Settlement(payment_ids[0], Status.PROCESSING, None, 1, HOUR)
    with store.begin() as work:
        work.payments.settle([retry], HOUR)
        work.commit()
    assert claim_payments(store) == []


def test_only_latest_claims_can_be_locked(store: Store, payment_ids: list[UUID]) -> None:
    stale = claim_payments(store, lease=NOW)
    fresh = claim_payments(store)
    with store.begin() as work:
        assert work.payments.lock_claims(stale) == []
        assert work.payments.lock_claims(fresh) == fresh
        assert work.payments.lock_claims([stale[0], *fresh[1:]]) == fresh[1:]


def test_settled_payment_is_final_and_not_claimed(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    claims = claim_payments(store, lease=NOW)
    success = Settlement(payment_ids[0], Status.SUCCESS, None, 0, None)
    failure = Settlement(payment_ids[1], Status.FAILED, "card_declined", 0, None)
    posting = build_posting(claims[0], success, IDS.new_id())
    assert posting
    with store.begin() as work:
        accounts = work.accounts.lock([claims[0].account_id, world_account_id("USD")])
        work.ledger.save(post(accounts, [posting], work.now()))
        work.payments.settle([success, failure], HOUR)
        work.commit()
    with store.begin() as work:
        assert work.payments.lock_claims(claims) == claims[2:]
        failed = find_payment(work, merchant_id, payment_ids[1])
    assert failed
    assert (failed.status, failed.failure_reason) == (Status.FAILED, "card_declined")
    assert [claim.payment_id for claim in claim_payments(store)] == [payment_ids[2]]
    with pytest.raises(StorageRefused), store.begin() as work:
        work.payments.settle([success._replace(status=Status.FAILED, failure_reason="x")], HOUR)
        work.commit()
    assert get_status(store, merchant_id, payment_ids[0]) is Status.SUCCESS


def test_retry_is_due_after_back_off_and_keeps_fault_count(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    claim_payments(store)
    soon = Settlement(payment_ids[0], Status.PROCESSING, None, 1, NOW)
    late = Settlement(payment_ids[1], Status.PROCESSING, None, 2, HOUR)
    with store.begin() as work:
        work.payments.settle([soon, late], HOUR)
        work.commit()
    (retried,) = claim_payments(store)
    assert (retried.payment_id, retried.attempt, retried.faults) == (payment_ids[0], 2, 1)
    assert get_status(store, merchant_id, payment_ids[1]) is Status.PROCESSING


def test_settling_nothing_is_allowed(store: Store) -> None:
    with store.begin() as work:
        work.payments.settle([], HOUR)
        assert work.payments.lock_claims([]) == []
