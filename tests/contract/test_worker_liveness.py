"""Claims of live and dead workers, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.payments import Status
from atomic_core.domain.settlement import Claim, NetworkResponse, Settlement, Verdict
from lossy_store import LossyUnitOfWorkFactory
from processes import wait_until
from support import (
    HOUR,
    IDS,
    NOW,
    Store,
    add_merchant,
    add_payment,
    build_application,
    build_payment,
    find_payment,
    open_account,
)
from worker_processes import WorkerProcess


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    return merchant_id


@pytest.fixture
def payment_ids(store: Store, merchant_id: UUID) -> list[UUID]:
    ids = [IDS.new_id() for _ in range(3)]
    with store.begin() as work:
        for id in ids:
            add_payment(work, build_payment(merchant_id), id)
        work.commit()
    return ids


def claim_payments(
    store: Store, worker_id: int | None, limit: int = 100, overdue_by: timedelta = HOUR
) -> Sequence[Claim]:
    """By default as the sweeper, which claims only what is an hour overdue or a dead worker's."""
    with store.begin() as work:
        claims = work.payments.claim(limit, HOUR, overdue_by, worker_id)
        work.commit()
    return claims


def claim_due(store: Store, worker: WorkerProcess, limit: int = 100) -> Sequence[Claim]:
    claims = claim_payments(store, worker.worker_id(), limit, overdue_by=NOW)
    assert claims
    return claims


def test_worker_ids_are_unique(store: Store) -> None:
    first, second = store.start_worker(), store.start_worker()
    assert first.worker_id() == first.worker_id() != second.worker_id()
    worker_id = first.worker_id()
    first.close()
    assert worker_id not in {second.worker_id(), store.start_worker().worker_id(), None}


def test_claims_of_dead_worker_are_due_at_once(store: Store, payment_ids: list[UUID]) -> None:
    dead, survivor = store.start_worker(), store.start_worker()
    claim_due(store, dead, limit=2)
    assert claim_payments(store, survivor.worker_id()) == []
    dead.close()
    taken_over = claim_payments(store, survivor.worker_id())
    assert [(claim.payment_id, claim.attempt) for claim in taken_over] == [
        (id, 2) for id in payment_ids[:2]
    ], "the unclaimed payment is not overdue"
    assert claim_payments(store, store.start_worker().worker_id()) == [], "the survivor is alive"


def test_live_worker_keeps_its_claims(store: Store, payment_ids: list[UUID]) -> None:
    slow, other = store.start_worker(), store.start_worker()
    claims = claim_due(store, slow)
    assert claim_payments(store, other.worker_id()) == []
    assert claim_payments(store, slow.worker_id()) == []
    assert claim_payments(store, None) == []
    with store.begin() as work:
        assert work.payments.lock_claims(claims) == claims


def test_stale_claims_of_dead_worker_cannot_be_locked(
    store: Store, payment_ids: list[UUID]
) -> None:
    dead = store.start_worker()
    stale = claim_due(store, dead)
    dead.close()
    fresh = claim_payments(store, store.start_worker().worker_id())
    with store.begin() as work:
        assert work.payments.lock_claims(stale) == []
        assert work.payments.lock_claims(fresh) == fresh


def test_claims_without_worker_id_are_due_after_lease(
    store: Store, payment_ids: list[UUID]
) -> None:
    claim_payments(store, None, overdue_by=NOW)
    assert claim_payments(store, store.start_worker().worker_id()) == []


def test_claims_under_id_of_dead_worker_are_due_after_lease(
    store: Store, payment_ids: list[UUID]
) -> None:
    """Otherwise a worker with a lost database session would lose its claims until it reconnects."""
    disconnected = store.start_worker()
    worker_id = disconnected.worker_id()
    disconnected.close()
    assert len(claim_payments(store, worker_id, overdue_by=NOW)) == 3
    assert claim_payments(store, store.start_worker().worker_id()) == []


def test_back_off_continues_after_worker_died(store: Store, payment_ids: list[UUID]) -> None:
    dead = store.start_worker()
    [first, *_] = claim_due(store, dead)
    with store.begin() as work:
        work.payments.settle([Settlement(first.payment_id, Status.PROCESSING, None, 1, HOUR)], HOUR)
        work.commit()
    dead.close()
    taken_over = {claim.payment_id for claim in claim_payments(store, None)}
    assert taken_over == set(payment_ids) - {first.payment_id}


def test_settled_payment_of_dead_worker_is_not_claimed(
    store: Store, payment_ids: list[UUID]
) -> None:
    dead = store.start_worker()
    claims = claim_due(store, dead)
    with store.begin() as work:
        work.payments.settle(
            [
                Settlement(claim.payment_id, Status.FAILED, "card_declined", 0, None)
                for claim in claims
            ],
            HOUR,
        )
        work.commit()
    dead.close()
    assert claim_payments(store, None) == []


class WorkerKillingNetwork(SandboxCardNetwork):
    """During its call, the calling worker dies and another worker settles."""

    def __init__(self, store: Store, caller: WorkerProcess) -> None:
        self.store = store
        self.caller = caller

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.caller.close()
        survivor = build_application(self.store.begin, worker_liveness=self.store.start_worker())
        assert survivor.settlement.settle(overdue_by=HOUR) == len(claims)
        return [NetworkResponse(Verdict.APPROVED)] * len(claims)


def test_payments_of_worker_that_died_before_posting_are_settled_once(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    process = store.start_worker()
    network = WorkerKillingNetwork(store, process)
    application = build_application(store.begin, card_network=network, worker_liveness=process)
    lost: list[int] = []
    application.settlement.settle(on_batch=lambda batch: lost.append(batch.lost))
    assert lost == [3], "the dead worker's claims are lost"
    with store.begin() as work:
        payments = [find_payment(work, merchant_id, id) for id in payment_ids]
    assert {payment and payment.status for payment in payments} == {Status.SUCCESS}
    report = application.ledger.verify()
    assert (report.is_clean, report.transactions) == (True, 3)


def test_deregistered_worker_registers_under_new_id(store: Store, payment_ids: list[UUID]) -> None:
    worker, sweeper = store.start_worker(), store.start_worker()
    first = worker.worker_id()
    claim_due(store, worker, limit=2)
    worker.deregister()
    wait_until(
        lambda: len(claim_payments(store, sweeper.worker_id())) == 2, 60, "the claims are due"
    )
    assert worker.worker_id() not in (None, first)
    assert [claim.payment_id for claim in claim_due(store, worker)] == payment_ids[2:]
    assert claim_payments(store, sweeper.worker_id()) == []


def test_claims_after_lost_commit_reply_are_due_at_once(
    store: Store, payment_ids: list[UUID]
) -> None:
    """The claims are committed, but the worker does not have them."""
    worker, sweeper = store.start_worker(), store.start_worker()
    application = build_application(
        LossyUnitOfWorkFactory(store, is_committed=True, failures=1), worker_liveness=worker
    )
    with pytest.raises(StorageUnavailable):
        application.settlement.settle()
    wait_until(
        lambda: len(claim_payments(store, sweeper.worker_id())) == 3, 60, "the claims are due"
    )
