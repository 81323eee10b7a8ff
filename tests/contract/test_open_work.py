"""How much is open, and what a batch tells of its work, on both stores."""

from datetime import timedelta
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.money import Money
from atomic_core.domain.open_work import HOLD_AGES, OpenItems
from atomic_core.domain.payments import DEFAULT_HOLD_PERIOD, CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.open_work import MeasureOpenWork
from atomic_core.use_cases.settlement import SettledBatch
from lossy_store import LossyUnitOfWorkFactory
from support import NOW, Store, add_merchant, build_application, build_payment

HOUR = timedelta(hours=1)
NETWORK = "sandbox"


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def application(store: Store) -> Application:
    return build_application(store.begin)


def test_open_items_are_counted_claimed_or_not(
    application: Application, store: Store, merchant_id: UUID
) -> None:
    measure = application.maintenance.measure_open_work
    assert measure().items == [OpenItems(NETWORK, 0, 0)]
    payment = application.payments.record(build_payment(merchant_id, 100))
    application.settlement.settle()
    application.refunds.create(NewRefund(merchant_id, payment.id, 10))
    for _ in range(3):
        application.payments.record(build_payment(merchant_id, 100))
    with store.begin() as work:
        assert len(work.payments.claim(1, HOUR, NOW, None)) == 1
        work.commit()
    assert measure().items == [OpenItems(NETWORK, 3, 1)]
    with store.begin() as work:
        assert work.admin_queries.count_open(NETWORK, 2) == (2, 1)
        assert work.admin_queries.count_open("stripe", 2) == (0, 0)


def test_networks_without_settings_are_counted_too(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    application.payments.record(build_payment(merchant_id, 100))
    measure = MeasureOpenWork(store.begin, ["stripe"], DEFAULT_HOLD_PERIOD)
    assert measure().items == [OpenItems(NETWORK, 1, 0), OpenItems("stripe", 0, 0)]


@pytest.mark.parametrize("number", range(len(HOLD_AGES)), ids=[name for name, *_ in HOLD_AGES])
def test_holds_are_counted_by_age(
    application: Application, store: Store, merchant_id: UUID, number: int
) -> None:
    """A hold that has just begun looks older to a deployment with a longer period."""
    _, least, _ = HOLD_AGES[number]
    new_payment = NewPayment(
        merchant_id, Money(100, "USD"), "tok_visa", capture=CaptureMethod.MANUAL
    )
    for _ in range(2):
        application.payments.record(new_payment)
    application.settlement.settle()
    period = DEFAULT_HOLD_PERIOD + least + timedelta(minutes=1)
    holds = MeasureOpenWork(store.begin, [NETWORK], period)().holds
    assert holds == [2 if index == number else 0 for index in range(len(HOLD_AGES))]
    with store.begin() as work:
        assert work.admin_queries.count_holds(None, DEFAULT_HOLD_PERIOD, 1) == 1


def test_batch_tells_its_calls_and_what_it_took_over(
    application: Application, store: Store, merchant_id: UUID
) -> None:
    refunded = application.payments.record(build_payment(merchant_id, 100))
    application.settlement.settle()
    application.refunds.create(NewRefund(merchant_id, refunded.id, 10))
    for _ in range(2):
        application.payments.record(build_payment(merchant_id, 100))
    worker = store.start_worker()
    with store.begin() as work:
        terms = (HOUR, NOW, worker.worker_id())
        assert not any(claim.is_taken_over for claim in work.payments.claim(1, *terms))
        assert not any(claim.is_taken_over for claim in work.refunds.claim(1, *terms))
        work.commit()
    worker.close()
    batches: list[SettledBatch] = []
    assert application.settlement.settle(on_batch=batches.append) == 3
    [batch] = batches
    assert (batch.taken_over, batch.lost, batch.retries) == (2, 0, 0)
    assert sum(call.claims for call in batch.network_calls) == 3
    assert {call.method for call in batch.network_calls} == {"authorize", "refund"}
    assert all(len(call.responses) == call.claims for call in batch.network_calls)
    assert all(seconds > 0 for seconds in batch.seconds)


def test_batch_tells_how_often_a_transaction_was_repeated(
    application: Application, store: Store, merchant_id: UUID
) -> None:
    application.payments.record(build_payment(merchant_id, 100))
    # The first commit is that of the claims.
    lossy = LossyUnitOfWorkFactory(store, is_committed=False, failures=2, successes_before=1)
    batches: list[SettledBatch] = []
    build_application(lossy).settlement.settle(on_batch=batches.append)
    assert [(batch.retries, len(batch.settlements)) for batch in batches] == [(2, 1)]
