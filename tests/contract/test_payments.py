"""Payments as a queue, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment, Status
from atomic_core.domain.settlement import Claim, Settlement
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
    """Three payments, each accepted after the one before."""
    ids = [IDS.new_id() for _ in range(3)]
    for id in ids:
        with store.begin() as work:
            add_payment(work, build_payment(merchant_id), id)
            work.commit()
    return ids


def claim(store: Store, lease: timedelta = HOUR, limit: int = 100) -> Sequence[Claim]:
    with store.begin() as work:
        claims = work.payments.claim(limit, lease, NOW)
        work.commit()
    return claims


def status_of(store: Store, merchant_id: UUID, payment_id: UUID) -> Status:
    with store.begin() as work:
        payment = find_payment(work, merchant_id, payment_id)
    assert payment
    return payment.status


def test_inserted_payment_is_found_unchanged(
    store: Store, merchant_id: UUID, account_id: UUID
) -> None:
    new = NewPayment(
        merchant_id, Money(2**53 - 1, "USD"), "tok_visa", "né “x”\n", "https://a.example/", "k"
    )
    id = IDS.new_id()
    with store.begin() as work:
        added = add_payment(work, new, id)
        work.commit()
    with store.begin() as work:
        assert find_payment(work, merchant_id, id) == added
        assert find_payment(work, IDS.new_id(), id) is None
    assert (added.money, added.description) == (new.money, new.description)
    assert (added.webhook_url, added.idempotency_key) == (new.webhook_url, "k")
    assert (added.status, added.failure_reason) == (Status.PENDING, None)
    assert added.created_at == added.updated_at


def test_oldest_payments_are_claimed_first(store: Store, payment_ids: list[UUID]) -> None:
    assert [c.payment_id for c in claim(store, limit=2)] == payment_ids[:2]
    assert [c.payment_id for c in claim(store, limit=2)] == payment_ids[2:]
    assert claim(store) == []


def test_claim_contains_what_settling_needs(
    store: Store, merchant_id: UUID, account_id: UUID, payment_ids: list[UUID]
) -> None:
    first = claim(store)[0]
    assert first == Claim(payment_ids[0], 1, 0, account_id, 5_000, "USD", "tok_visa")
    assert status_of(store, merchant_id, payment_ids[0]) is Status.PROCESSING


def test_overdue_by_excludes_payments_due_recently(store: Store, payment_ids: list[UUID]) -> None:
    with store.begin() as work:
        assert work.payments.claim(100, HOUR, overdue_by=HOUR) == []


def test_expired_lease_is_claimed_again_with_higher_attempt(
    store: Store, payment_ids: list[UUID]
) -> None:
    first = claim(store, lease=NOW)
    second = claim(store)
    assert [c.attempt for c in first] == [1, 1, 1]
    assert [(c.payment_id, c.attempt) for c in second] == [(id, 2) for id in payment_ids]


def test_reclaimed_payments_keep_their_order(store: Store, payment_ids: list[UUID]) -> None:
    claim(store, lease=NOW, limit=2)
    assert [c.payment_id for c in claim(store, limit=1)] == payment_ids[:1]
    assert [c.payment_id for c in claim(store)] == payment_ids[1:]


def test_payments_are_not_claimed_before_lease_or_back_off_ends(
    store: Store, payment_ids: list[UUID]
) -> None:
    claim(store)
    retry = Settlement(payment_ids[0], Status.PROCESSING, None, 1, HOUR)
    with store.begin() as work:
        work.payments.settle([retry], HOUR)
        work.commit()
    assert claim(store) == []


def test_only_latest_claims_can_be_locked(store: Store, payment_ids: list[UUID]) -> None:
    stale = claim(store, lease=NOW)
    fresh = claim(store)
    with store.begin() as work:
        assert work.payments.lock_claims(stale) == frozenset()
        assert work.payments.lock_claims(fresh) == set(payment_ids)
        assert work.payments.lock_claims([stale[0], *fresh[1:]]) == set(payment_ids[1:])


def test_settled_payment_is_final_and_not_claimed(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    claims = claim(store, lease=NOW)
    won = Settlement(payment_ids[0], Status.SUCCESS, None, 0, None)
    lost = Settlement(payment_ids[1], Status.FAILED, "card_declined", 0, None)
    with store.begin() as work:
        work.payments.settle([won, lost], HOUR)
        work.commit()
    with store.begin() as work:
        assert work.payments.lock_claims(claims) == {payment_ids[2]}
        failed = find_payment(work, merchant_id, payment_ids[1])
    assert failed
    assert (failed.status, failed.failure_reason) == (Status.FAILED, "card_declined")
    assert [c.payment_id for c in claim(store)] == [payment_ids[2]]
    with pytest.raises(StorageRefused), store.begin() as work:
        work.payments.settle([won._replace(status=Status.FAILED, failure_reason="x")], HOUR)
        work.commit()
    assert status_of(store, merchant_id, payment_ids[0]) is Status.SUCCESS


def test_retry_is_due_after_back_off_and_keeps_fault_count(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    claim(store)
    soon = Settlement(payment_ids[0], Status.PROCESSING, None, 1, NOW)
    late = Settlement(payment_ids[1], Status.PROCESSING, None, 2, HOUR)
    with store.begin() as work:
        work.payments.settle([soon, late], HOUR)
        work.commit()
    (again,) = claim(store)
    assert (again.payment_id, again.attempt, again.faults) == (payment_ids[0], 2, 1)
    assert status_of(store, merchant_id, payment_ids[1]) is Status.PROCESSING


def test_settling_nothing_is_allowed(store: Store) -> None:
    with store.begin() as work:
        work.payments.settle([], HOUR)
        assert work.payments.lock_claims([]) == frozenset()
