"""Claims of settlers that are gone, on both stores."""

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


def claim(
    store: Store, worker_id: int | None, limit: int = 100, overdue_by: timedelta = HOUR
) -> Sequence[Claim]:
    """By default as a sweeper that must leave alone whatever is not an hour overdue."""
    with store.begin() as work:
        claims = work.payments.claim(limit, HOUR, overdue_by, worker_id)
        work.commit()
    return claims


def claimed(store: Store, by: WorkerProcess, limit: int = 100) -> Sequence[Claim]:
    claims = claim(store, by.worker_id(), limit, overdue_by=NOW)
    assert claims
    return claims


def test_worker_ids_are_unique(store: Store) -> None:
    first, second = store.start_worker(), store.start_worker()
    assert first.worker_id() == first.worker_id() != second.worker_id()
    number = first.worker_id()
    first.close()
    assert number not in {second.worker_id(), store.start_worker().worker_id(), None}


def test_claims_of_dead_worker_are_due_at_once(store: Store, payment_ids: list[UUID]) -> None:
    dead, survivor = store.start_worker(), store.start_worker()
    claimed(store, dead, limit=2)
    assert claim(store, survivor.worker_id()) == []
    dead.close()
    taken_over = claim(store, survivor.worker_id())
    assert [(each.payment_id, each.attempt) for each in taken_over] == [
        (id, 2) for id in payment_ids[:2]
    ], "and the one that nobody had claimed is left alone"
    assert claim(store, store.start_worker().worker_id()) == [], "they are the survivor's now"


def test_live_worker_keeps_its_claims(store: Store, payment_ids: list[UUID]) -> None:
    slow, other = store.start_worker(), store.start_worker()
    claims = claimed(store, slow)
    assert claim(store, other.worker_id()) == []
    assert claim(store, slow.worker_id()) == []
    assert claim(store, None) == []
    with store.begin() as work:
        assert work.payments.lock_claims(claims) == set(payment_ids)


def test_stale_claims_of_dead_worker_cannot_be_locked(
    store: Store, payment_ids: list[UUID]
) -> None:
    thought_gone = store.start_worker()
    stale = claimed(store, thought_gone)
    thought_gone.close()
    fresh = claim(store, store.start_worker().worker_id())
    with store.begin() as work:
        assert work.payments.lock_claims(stale) == frozenset()
        assert work.payments.lock_claims(fresh) == set(payment_ids)


def test_claims_without_worker_id_are_due_after_lease(
    store: Store, payment_ids: list[UUID]
) -> None:
    claim(store, None, overdue_by=NOW)
    assert claim(store, store.start_worker().worker_id()) == []


def test_claims_under_id_of_dead_worker_are_due_after_lease(
    store: Store, payment_ids: list[UUID]
) -> None:
    """Else a settler whose session was cut would lose all it claims until it notices."""
    cut = store.start_worker()
    number = cut.worker_id()
    cut.close()
    assert len(claim(store, number, overdue_by=NOW)) == 3
    assert claim(store, store.start_worker().worker_id()) == []


def test_back_off_continues_after_worker_died(store: Store, payment_ids: list[UUID]) -> None:
    dead = store.start_worker()
    [first, *_] = claimed(store, dead)
    with store.begin() as work:
        work.payments.settle([Settlement(first.payment_id, Status.PROCESSING, None, 1, HOUR)], HOUR)
        work.commit()
    dead.close()
    taken_over = {each.payment_id for each in claim(store, None)}
    assert taken_over == set(payment_ids) - {first.payment_id}


def test_settled_payment_of_dead_worker_is_not_claimed(
    store: Store, payment_ids: list[UUID]
) -> None:
    dead = store.start_worker()
    claims = claimed(store, dead)
    with store.begin() as work:
        work.payments.settle(
            [
                Settlement(each.payment_id, Status.FAILED, "card_declined", 0, None)
                for each in claims
            ],
            HOUR,
        )
        work.commit()
    dead.close()
    assert claim(store, None) == []


class Dying(SandboxCardNetwork):
    """A network during whose answer the process that asked dies, and another settles."""

    def __init__(self, store: Store, asking: WorkerProcess) -> None:
        self.store = store
        self.asking = asking

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.asking.close()
        survivor = build_application(self.store.begin, worker_liveness=self.store.start_worker())
        assert survivor.settlement.settle(overdue_by=HOUR) == len(claims)
        return [NetworkResponse(Verdict.APPROVED)] * len(claims)


def test_payments_of_worker_that_died_before_posting_are_settled_once(
    store: Store, merchant_id: UUID, payment_ids: list[UUID]
) -> None:
    process = store.start_worker()
    network = Dying(store, process)
    application = build_application(store.begin, card_network=network, worker_liveness=process)
    lost: list[int] = []
    application.settlement.settle(on_batch=lambda batch: lost.append(batch.lost))
    assert lost == [3], "what it posts in its last breath is no longer its own"
    with store.begin() as work:
        payments = [find_payment(work, merchant_id, id) for id in payment_ids]
    assert {payment and payment.status for payment in payments} == {Status.SUCCESS}
    report = application.ledger.verify()
    assert (report.is_clean, report.transactions) == (True, 3)


def test_deregistered_worker_registers_under_new_id(store: Store, payment_ids: list[UUID]) -> None:
    settler, sweeper = store.start_worker(), store.start_worker()
    first = settler.worker_id()
    claimed(store, settler, limit=2)
    settler.deregister()
    wait_until(lambda: len(claim(store, sweeper.worker_id())) == 2, 2, "its claims are due at once")
    assert settler.worker_id() not in (None, first)
    assert [each.payment_id for each in claimed(store, settler)] == payment_ids[2:]
    assert claim(store, sweeper.worker_id()) == []


def test_claims_after_lost_commit_reply_are_due_at_once(
    store: Store, payment_ids: list[UUID]
) -> None:
    """They were made, and the settler cannot know."""
    settler, sweeper = store.start_worker(), store.start_worker()
    application = build_application(
        LossyUnitOfWorkFactory(store, is_committed=True, failures=1), worker_liveness=settler
    )
    with pytest.raises(StorageUnavailable):
        application.settlement.settle()
    wait_until(lambda: len(claim(store, sweeper.worker_id())) == 3, 2, "the claims are due at once")
