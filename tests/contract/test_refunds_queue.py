"""Claims and settlement of refunds, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.payments import Status, Step
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim, Settlement
from processes import wait_until
from support import HOUR, NOW, Store, add_merchant, build_application, build_payment, open_account


@pytest.fixture
def refunds(store: Store) -> list[UUID]:
    """Three refunds of one payment, of 1, 2 and 3."""
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    paid = application.payments.record(build_payment(merchant_id, 5_000))
    application.settlement.settle()
    return [
        application.refunds.create(NewRefund(merchant_id, paid.id, amount)).id
        for amount in (1, 2, 3)
    ]


def claim_refunds(
    store: Store, limit: int = 100, lease: timedelta = HOUR, worker_id: int | None = None
) -> Sequence[Claim]:
    with store.begin() as work:
        claims = work.refunds.claim(limit, lease, NOW, worker_id)
        work.commit()
    return claims


def settle_refunds(store: Store, *settlements: Settlement) -> None:
    with store.begin() as work:
        work.refunds.settle(settlements)
        work.commit()


def build_settlement(claim: Claim, status: Status, reason: str | None = None) -> Settlement:
    return Settlement(claim.payment_id, status, reason, 0, None, refund_id=claim.refund_id)


def test_oldest_refunds_are_claimed_first_with_what_settling_needs(
    store: Store, refunds: list[UUID]
) -> None:
    first, second = claim_refunds(store, limit=2)
    assert [first.id, second.id] == refunds[:2]
    assert (first.step, first.amount, first.currency, first.source) == (
        Step.REFUND,
        1,
        "USD",
        "tok_visa",
    )
    assert (first.attempt, first.faults, first.reserved) == (1, 0, False)
    assert [claim.id for claim in claim_refunds(store)] == refunds[2:]
    assert claim_refunds(store) == []


def test_expired_lease_is_claimed_again_and_only_latest_claims_can_be_locked(
    store: Store, refunds: list[UUID]
) -> None:
    stale, fresh = claim_refunds(store, lease=NOW), claim_refunds(store)
    assert [claim.attempt for claim in fresh] == [2, 2, 2]
    with store.begin() as work:
        assert work.refunds.lock_claims(stale) == []
        assert work.refunds.lock_claims(fresh) == fresh
        assert work.refunds.lock_claims([stale[0], *fresh[1:]]) == fresh[1:]


def test_claims_of_dead_worker_are_due_at_once(store: Store, refunds: list[UUID]) -> None:
    process = store.start_worker()
    assert len(claim_refunds(store, worker_id=process.worker_id())) == 3
    assert claim_refunds(store) == []
    process.deregister()
    reclaimed: list[Claim] = []
    # PostgreSQL releases the locks of an ended session shortly after.
    wait_until(
        lambda: reclaimed.extend(claim_refunds(store)) or reclaimed, 60, "the claims are due"
    )
    assert [claim.attempt for claim in reclaimed] == [2, 2, 2]


def test_retry_is_due_after_back_off_and_keeps_fault_count(
    store: Store, refunds: list[UUID]
) -> None:
    soon, late, _ = claim_refunds(store)
    settle_refunds(
        store,
        build_settlement(soon, Status.PROCESSING)._replace(faults=1, retry_after=NOW),
        build_settlement(late, Status.PROCESSING)._replace(faults=2, retry_after=HOUR),
    )
    (retried,) = claim_refunds(store)
    assert (retried.id, retried.attempt, retried.faults) == (refunds[0], 2, 1)


def test_settled_refund_is_final_and_not_claimed(store: Store, refunds: list[UUID]) -> None:
    claims = claim_refunds(store, lease=NOW)
    failed = build_settlement(claims[0], Status.FAILED, "refund_declined")
    settle_refunds(store, failed)
    with store.begin() as work:
        assert work.refunds.lock_claims(claims) == claims[1:]
    assert [claim.id for claim in claim_refunds(store)] == refunds[1:]
    with pytest.raises(StorageRefused):
        settle_refunds(store, failed._replace(status=Status.SUCCESS, failure_reason=None))


def test_settling_nothing_is_allowed(store: Store) -> None:
    with store.begin() as work:
        work.refunds.settle([])
        assert work.refunds.lock_claims([]) == []
