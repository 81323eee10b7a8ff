"""Settlement of payments by the use cases, on both stores."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.errors import NotFound
from atomic_core.domain.events import EventType
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.settlement import MAX_BATCHES, SettledBatch
from lossy_store import LossyUnitOfWorkFactory
from support import (
    IDS,
    NOW,
    Store,
    add_merchant,
    build_application,
    build_payment,
    run_concurrently,
)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def application(store: Store) -> Application:
    return build_application(store.begin)


def get_payment(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def get_balance(application: Application, payment: Payment) -> int:
    return application.accounts.get(payment.merchant_id, payment.account_id).balance


def test_recorded_payment_is_settled(application: Application, merchant_id: UUID) -> None:
    payment = application.payments.record(build_payment(merchant_id, 5_000))
    assert payment.status is Status.PENDING
    assert get_balance(application, payment) == 0
    assert application.settlement.settle() == 1
    assert get_payment(application, payment).status is Status.SUCCESS
    assert get_balance(application, payment) == 5_000
    assert application.ledger.verify().is_clean


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_chargeDeclined", "card_declined"),
        ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("tok_chargeDeclinedExpiredCard", "expired_card"),
        ("tok_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        ("tok_chargeDeclinedProcessingError", "processing_error"),
    ],
)
def test_declined_payment_fails_with_reason_and_posts_nothing(
    application: Application, merchant_id: UUID, token: str, reason: str
) -> None:
    payment = application.payments.record(build_payment(merchant_id, source=token))
    application.settlement.settle()
    failed = get_payment(application, payment)
    assert (failed.status, failed.failure_reason) == (Status.FAILED, reason)
    assert get_balance(application, payment) == 0
    assert application.ledger.verify().transactions == 0


def test_only_recorded_payment_notifies_worker(store: Store, merchant_id: UUID) -> None:
    queue = MemoryJobQueue()
    application = build_application(store.begin, job_queue=queue)
    with pytest.raises(NotFound):
        application.payments.record(build_payment(IDS.new_id()))
    assert queue.notified_jobs == set()
    application.payments.record(build_payment(merchant_id))
    assert queue.notified_jobs == {Job.SETTLE}


def test_concurrent_first_payments_in_a_currency_open_one_account(
    application: Application, merchant_id: UUID
) -> None:
    euro = NewPayment(merchant_id, Money(1, "EUR"), "tok_visa")
    payments = run_concurrently([lambda: application.payments.record(euro)] * 8)
    assert len({payment.account_id for payment in payments}) == 1
    application.settlement.settle()
    assert get_balance(application, payments[0]) == 8
    assert application.ledger.verify().accounts == 3


def test_balance_overflow_fails_only_its_payment(
    application: Application, merchant_id: UUID
) -> None:
    payments = [
        application.payments.record(build_payment(merchant_id, amount))
        for amount in (MAX_AMOUNT, 1, 2)
    ]
    other = application.payments.record(
        build_payment(add_merchant(application.payments.record.begin), 7)
    )
    application.settlement.settle()
    # What the network approved is reversed there before it fails here.
    application.settlement.settle()
    settled = [get_payment(application, payment) for payment in payments]
    assert [(payment.status, payment.failure_reason) for payment in settled] == [
        (Status.SUCCESS, None),
        (Status.FAILED, "balance_overflow"),
        (Status.FAILED, "balance_overflow"),
    ]
    assert get_balance(application, payments[0]) == MAX_AMOUNT
    assert get_payment(application, other).status is Status.SUCCESS
    assert application.ledger.verify().is_clean


def test_one_call_settles_several_batches(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin, batch_size=3)
    payments = [application.payments.record(build_payment(merchant_id, n)) for n in range(1, 9)]
    sizes: list[int] = []
    assert application.settlement.settle(on_batch=lambda batch: sizes.append(batch.claimed)) == 8
    assert sizes == [3, 3, 2]
    assert get_balance(application, payments[0]) == 36


def test_one_call_settles_at_most_max_batches(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin, batch_size=1)
    for _ in range(MAX_BATCHES + 1):
        application.payments.record(build_payment(merchant_id))
    assert application.settlement.settle() == MAX_BATCHES
    assert application.settlement.settle() == 1


class OvertakenNetwork(SandboxCardNetwork):
    """Another worker settles all payments during the call."""

    def __init__(self, other_application: Application) -> None:
        self.other_application = other_application

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.other_application.settlement.settle()
        return SandboxCardNetwork().authorize(claims)


def test_worker_with_expired_lease_posts_nothing(store: Store, merchant_id: UUID) -> None:
    fast = build_application(store.begin)
    slow = build_application(store.begin, card_network=OvertakenNetwork(fast), lease=NOW)
    payment = slow.payments.record(build_payment(merchant_id, 5_000))
    batches: list[SettledBatch] = []
    slow.settlement.settle(on_batch=batches.append)
    assert [(batch.claimed, batch.lost) for batch in batches] == [(1, 1)]
    assert get_balance(slow, payment) == 5_000
    report = slow.ledger.verify()
    assert (report.is_clean, report.transactions) == (True, 1)


def test_concurrent_workers_settle_each_payment_once(store: Store, merchant_id: UUID) -> None:
    workers = [build_application(store.begin, batch_size=7) for _ in range(4)]
    merchants = [merchant_id, *(add_merchant(store.begin) for _ in range(4))]
    payments = [
        workers[0].payments.record(build_payment(merchants[n % 5], n + 1)) for n in range(200)
    ]
    claimed = run_concurrently([worker.settlement.settle for worker in workers])
    while workers[0].settlement.settle():
        pass
    assert sum(claimed) >= 190, "all but the claims that another worker held at the end"
    assert {get_payment(workers[0], payment).status for payment in payments} == {Status.SUCCESS}
    report = workers[0].ledger.verify()
    assert (report.is_clean, report.transactions) == (True, 200)


def test_payment_refused_by_database_does_not_block_others(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    payments = [application.payments.record(build_payment(merchant_id)) for _ in range(5)]
    # The database refuses to post a payment that has a ledger transaction already.
    settled = application.payments.record(build_payment(merchant_id, 1))
    application.settlement.settle()
    refused = application.payments.record(build_payment(merchant_id))
    store.tampering.add_empty_transaction(IDS.new_id(), refused.id)
    others = [application.payments.record(build_payment(merchant_id)) for _ in range(6)]
    batches: list[SettledBatch] = []
    application.settlement.settle(on_batch=batches.append)
    (batch,) = batches
    assert [id for id, _ in batch.rejected] == [refused.id]
    assert "once_per_payment" in batch.rejected[0][1]
    assert {get_payment(application, payment).status for payment in others} == {Status.SUCCESS}
    assert get_payment(application, refused).status is Status.PROCESSING
    assert get_balance(application, payments[0]) == 11 * 5_000 + settled.money.amount


class CommitFailingNetwork(SandboxCardNetwork):
    """Makes the next commit fail, which posts the batch."""

    def __init__(self, lossy: LossyUnitOfWorkFactory) -> None:
        self.lossy = lossy

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.lossy.failures = 1
        return SandboxCardNetwork().authorize(claims)


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not committed"])
def test_lost_commit_of_batch_is_retried_and_posts_once(
    store: Store, merchant_id: UUID, is_committed: bool
) -> None:
    lossy = LossyUnitOfWorkFactory(store, is_committed=is_committed)
    application = build_application(lossy, card_network=CommitFailingNetwork(lossy))
    payment = application.payments.record(build_payment(merchant_id, 5_000))
    application.settlement.settle()
    assert get_payment(application, payment).status is Status.SUCCESS
    assert get_balance(application, payment) == 5_000
    assert application.ledger.verify().transactions == 1


def test_lost_commit_of_failed_attempt_records_one_event(store: Store, merchant_id: UUID) -> None:
    # The first commit claims.
    application = build_application(
        LossyUnitOfWorkFactory(store, is_committed=True, failures=1, successes_before=1)
    )
    token = "tok_noAnswer"
    payment = build_application(store.begin).payments.record(
        build_payment(merchant_id, source=token)
    )
    application.settlement.settle()
    events = application.payments.get_timeline(merchant_id, payment.id).events
    expected = [EventType.CREATED, EventType.PROCESSING, EventType.IN_DOUBT]
    assert [event.event.type for event in events] == expected


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not committed"])
def test_lost_commit_of_reservation_is_retried_and_reserves_once(
    store: Store, merchant_id: UUID, is_committed: bool
) -> None:
    application = build_application(store.begin)
    payment = application.payments.record(build_payment(merchant_id, 5_000))
    application.settlement.settle()
    refund = application.refunds.create(NewRefund(merchant_id, payment.id, 3_000))
    # The first commit claims.
    lossy = build_application(
        LossyUnitOfWorkFactory(store, is_committed=is_committed, failures=1, successes_before=1)
    )
    batches: list[SettledBatch] = []
    lossy.settlement.settle(on_batch=batches.append)
    assert [(batch.claimed, batch.lost, list(batch.rejected)) for batch in batches] == [(1, 0, [])]
    assert application.refunds.get(merchant_id, refund.id).status is Status.SUCCESS
    account = application.accounts.get(merchant_id, payment.account_id)
    assert (account.balance, account.pending) == (2_000, (0, 0))
    events = application.payments.get_timeline(merchant_id, payment.id).events
    assert [event.event.type for event in events].count(EventType.REFUND_RESERVED) == 1
    assert application.ledger.verify().is_clean


def test_payment_and_account_of_another_merchant_are_not_found(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.record(build_payment(merchant_id))
    other_id = add_merchant(application.payments.record.begin)
    with pytest.raises(NotFound):
        application.payments.get(other_id, payment.id)
    with pytest.raises(NotFound):
        application.accounts.get(other_id, payment.account_id)


def test_opening_account_of_unknown_merchant_raises_not_found(application: Application) -> None:
    with pytest.raises(NotFound):
        application.accounts.open(NewAccount(IDS.new_id(), "Shop", "USD"))
