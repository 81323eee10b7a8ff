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
    find_payment,
    open_account,
    order,
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
            add_payment(work, order(merchant_id), id)
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


def test_a_payment_is_found_again_as_it_was_accepted(
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


def test_the_oldest_are_claimed_first(store: Store, payment_ids: list[UUID]) -> None:
    assert [c.payment_id for c in claim(store, limit=2)] == payment_ids[:2]
    assert [c.payment_id for c in claim(store, limit=2)] == payment_ids[2:]
    assert claim(store) == []


def test_a_claim_tells_all_that_settling_needs(
    store: Store, merchant_id: UUID, account_id: UUID, payment_ids: list[UUID]
) -> None:
    first = claim(store)[0]
    assert first == Claim(payment_ids[0], 1, 0, account_id, 5_000, "USD", "tok_visa")
    assert status_of(store, merchant_id, payment_ids[0]) is Status.PROCESSING


def test_claiming_can_leave_alone_what_is_not_yet_overdue(
    store: Store, payment_ids: list[UUID]
) -> None:
    with store.begin() as work:
        assert work.payments.claim(100, HOUR, overdue_by=HOUR) == []


def test_an_expired_lease_is_claimed_again_with_a_higher_attempt(
    store: Store, payment_ids: list[UUID]
) -> None:
    first = claim(store, lease=NOW)
    second = claim(store)
    assert [c.attempt for c in first] == [1, 1, 1]
    assert [(c.payment_id, c.attempt) for c in second] == [(id, 2) for id in payment_ids]


def test_a_claim_does_not_cost_a_payment_its_place(store: Store, payment_ids: list[UUID]) -> None:
    claim(store, lease=NOW, limit=2)
    assert [c.payment_id for c in claim(store, limit=1)] == payment_ids[:1]
    assert [c.payment_id for c in claim(store)] == payment_ids[1:]


def test_neither_a_lease_nor_a_back_off_ends_early(store: Store, payment_ids: list[UUID]) -> None:
    claim(store)
    retry = Settlement(payment_ids[0], Status.PROCESSING, None, 1, HOUR)
    with store.begin() as work:
        work.payments.settle([retry], HOUR)
        work.commit()
    assert claim(store) == []


def test_only_the_latest_claim_is_still_ours(store: Store, payment_ids: list[UUID]) -> None:
    stale = claim(store, lease=NOW)
    fresh = claim(store)
    with store.begin() as work:
        assert work.payments.hold(stale) == frozenset()
        assert work.payments.hold(fresh) == set(payment_ids)
        assert work.payments.hold([stale[0], *fresh[1:]]) == set(payment_ids[1:])


def test_a_settled_payment_is_nobodys_and_final(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    claims = claim(store, lease=NOW)
    won = Settlement(payment_ids[0], Status.SUCCESS, None, 0, None)
    lost = Settlement(payment_ids[1], Status.FAILED, "card_declined", 0, None)
    with store.begin() as work:
        work.payments.settle([won, lost], HOUR)
        work.commit()
    with store.begin() as work:
        assert work.payments.hold(claims) == {payment_ids[2]}
        failed = find_payment(work, merchant_id, payment_ids[1])
    assert failed
    assert (failed.status, failed.failure_reason) == (Status.FAILED, "card_declined")
    assert [c.payment_id for c in claim(store)] == [payment_ids[2]]
    with pytest.raises(StorageRefused), store.begin() as work:
        work.payments.settle([won._replace(status=Status.FAILED, failure_reason="x")], HOUR)
        work.commit()
    assert status_of(store, merchant_id, payment_ids[0]) is Status.SUCCESS


def test_a_retry_is_due_after_its_back_off_and_remembers_its_faults(
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
        assert work.payments.hold([]) == frozenset()
