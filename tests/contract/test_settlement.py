"""The way of a payment through the use cases, on both stores."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.application import Application
from atomic_core.domain.errors import NetworkFault, NotFound
from atomic_core.domain.events import Event
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import NewPayment, Payment, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.settlement import MAX_BATCHES, Batch
from lossy_store import LossyBegin
from support import IDS, NOW, Store, add_merchant, application_over, at_once, order


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


@pytest.fixture
def application(store: Store) -> Application:
    return application_over(store.begin)


def seen(application: Application, payment: Payment) -> Payment:
    return application.payments.get(payment.merchant_id, payment.id)


def balance(application: Application, payment: Payment) -> int:
    return application.accounts.get(payment.merchant_id, payment.account_id).balance


def test_a_payment_is_accepted_then_settled(application: Application, merchant_id: UUID) -> None:
    payment = application.payments.accept(order(merchant_id, 5_000))
    assert payment.status is Status.PENDING
    assert balance(application, payment) == 0
    assert application.settlement.settle() == 1
    assert seen(application, payment).status is Status.SUCCESS
    assert balance(application, payment) == 5_000
    assert application.ledger.verify().clean


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_chargeDeclined", "card_declined"),
        ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("tok_chargeDeclinedExpiredCard", "expired_card"),
        ("tok_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
    ],
)
def test_a_declined_payment_fails_with_its_reason_and_moves_nothing(
    application: Application, merchant_id: UUID, token: str, reason: str
) -> None:
    payment = application.payments.accept(order(merchant_id, source=token))
    application.settlement.settle()
    after = seen(application, payment)
    assert (after.status, after.failure_reason) == (Status.FAILED, reason)
    assert balance(application, payment) == 0
    assert application.ledger.verify().transactions == 0


def test_accepting_rings_and_a_refused_order_does_not(store: Store, merchant_id: UUID) -> None:
    queue = MemoryJobQueue()
    application = application_over(store.begin, queue=queue)
    with pytest.raises(NotFound):
        application.payments.accept(order(IDS.new_id()))
    assert queue.ringing == set()
    application.payments.accept(order(merchant_id))
    assert queue.ringing == {Job.SETTLE}


def test_the_first_payment_in_a_currency_opens_one_account_however_many_arrive_at_once(
    application: Application, merchant_id: UUID
) -> None:
    euro = NewPayment(merchant_id, Money(1, "EUR"), "tok_visa")
    payments = at_once([lambda: application.payments.accept(euro)] * 8)
    assert len({payment.account_id for payment in payments}) == 1
    application.settlement.settle()
    assert balance(application, payments[0]) == 8
    assert application.ledger.verify().accounts == 3


def test_a_passing_fault_is_retried_with_growing_back_off_and_then_fails(
    store: Store, merchant_id: UUID
) -> None:
    application = application_over(store.begin)
    token = "tok_chargeDeclinedProcessingError"
    payment = application.payments.accept(order(merchant_id, source=token))
    waits: list[timedelta | None] = []

    def note(batch: Batch) -> None:
        waits.extend(settlement.retry_after for settlement in batch.settlements)

    for expected in (Status.PROCESSING, Status.PROCESSING, Status.FAILED):
        application.settlement.settle(done=note)
        assert seen(application, payment).status is expected
        assert application.settlement.settle(done=note) == 0, "not before the back-off has ended"
        _end_back_off(store)
    assert waits == [timedelta(seconds=2), timedelta(seconds=4), None]
    assert seen(application, payment).failure_reason == "processing_error"
    assert balance(application, payment) == 0


def _end_back_off(store: Store) -> None:
    with store.begin() as work:
        # Overdue by less than nothing: whatever is due within the next hour is claimed, with a
        # lease that has ended already.
        work.payments.claim(10, NOW, overdue_by=timedelta(hours=-1))
        work.commit()


class SilentNetwork(SandboxCardNetwork):
    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        raise NetworkFault


def test_a_network_that_does_not_answer_counts_as_a_passing_fault(
    store: Store, merchant_id: UUID
) -> None:
    application = application_over(store.begin, network=SilentNetwork())
    payment = application.payments.accept(order(merchant_id))
    application.settlement.settle()
    assert seen(application, payment).status is Status.PROCESSING
    assert balance(application, payment) == 0


def test_a_posting_that_would_overflow_a_balance_fails_and_the_others_go_on(
    application: Application, merchant_id: UUID
) -> None:
    payments = [
        application.payments.accept(order(merchant_id, amount)) for amount in (MAX_AMOUNT, 1, 2)
    ]
    other = application.payments.accept(order(add_merchant(application.payments.accept.begin), 7))
    application.settlement.settle()
    after = [seen(application, payment) for payment in payments]
    assert [(payment.status, payment.failure_reason) for payment in after] == [
        (Status.SUCCESS, None),
        (Status.FAILED, "balance_overflow"),
        (Status.FAILED, "balance_overflow"),
    ]
    assert balance(application, payments[0]) == MAX_AMOUNT
    assert seen(application, other).status is Status.SUCCESS
    assert application.ledger.verify().clean


def test_work_beyond_one_batch_is_settled_in_the_same_call(store: Store, merchant_id: UUID) -> None:
    application = application_over(store.begin, batch_size=3)
    payments = [application.payments.accept(order(merchant_id, n)) for n in range(1, 9)]
    sizes: list[int] = []
    assert application.settlement.settle(done=lambda batch: sizes.append(batch.claimed)) == 8
    assert sizes == [3, 3, 2]
    assert balance(application, payments[0]) == 36


def test_one_call_ends_after_its_bound_of_batches(store: Store, merchant_id: UUID) -> None:
    application = application_over(store.begin, batch_size=1)
    for _ in range(MAX_BATCHES + 1):
        application.payments.accept(order(merchant_id))
    assert application.settlement.settle() == MAX_BATCHES
    assert application.settlement.settle() == 1


class Meddling(SandboxCardNetwork):
    """Lets somebody else settle everything while the network is being asked."""

    def __init__(self, other: Application) -> None:
        self.other = other

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.other.settlement.settle()
        return SandboxCardNetwork().authorize(claims)


def test_a_settler_that_wakes_after_its_lease_changes_nothing(
    store: Store, merchant_id: UUID
) -> None:
    fast = application_over(store.begin)
    slow = application_over(store.begin, network=Meddling(fast), lease=NOW)
    payment = slow.payments.accept(order(merchant_id, 5_000))
    batches: list[Batch] = []
    slow.settlement.settle(done=batches.append)
    assert [(batch.claimed, batch.lost) for batch in batches] == [(1, 1)]
    assert balance(slow, payment) == 5_000
    report = slow.ledger.verify()
    assert (report.clean, report.transactions) == (True, 1)


def test_many_settlers_at_once_settle_each_payment_once(store: Store, merchant_id: UUID) -> None:
    settlers = [application_over(store.begin, batch_size=7) for _ in range(4)]
    merchants = [merchant_id, *(add_merchant(store.begin) for _ in range(4))]
    payments = [settlers[0].payments.accept(order(merchants[n % 5], n + 1)) for n in range(200)]
    claimed = at_once([settler.settlement.settle for settler in settlers])
    while settlers[0].settlement.settle():
        pass
    assert sum(claimed) >= 190, "all but what a settler held at the end"
    assert {seen(settlers[0], payment).status for payment in payments} == {Status.SUCCESS}
    report = settlers[0].ledger.verify()
    assert (report.clean, report.transactions) == (True, 200)


def test_a_payment_the_database_refuses_does_not_hold_up_the_others(
    store: Store, merchant_id: UUID
) -> None:
    application = application_over(store.begin)
    payments = [application.payments.accept(order(merchant_id)) for _ in range(5)]
    # As if it had been posted before by a bug: a second posting is refused.
    decoy = application.payments.accept(order(merchant_id, 1))
    application.settlement.settle()
    bad = application.payments.accept(order(merchant_id))
    store.books.add_empty_transaction(IDS.new_id(), bad.id)
    good = [application.payments.accept(order(merchant_id)) for _ in range(6)]
    batches: list[Batch] = []
    application.settlement.settle(done=batches.append)
    (batch,) = batches
    assert [id for id, _ in batch.stuck] == [bad.id]
    assert "once_per_payment" in batch.stuck[0][1]
    assert {seen(application, payment).status for payment in good} == {Status.SUCCESS}
    assert seen(application, bad).status is Status.PROCESSING
    assert balance(application, payments[0]) == 11 * 5_000 + decoy.money.amount


class SwitchingOn(SandboxCardNetwork):
    """Makes the next commit fail: the one that posts."""

    def __init__(self, flaky: LossyBegin) -> None:
        self.flaky = flaky

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.flaky.to_lose = 1
        return SandboxCardNetwork().authorize(claims)


@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_a_lost_commit_of_a_batch_is_tried_again_and_posts_once(
    store: Store, merchant_id: UUID, done: bool
) -> None:
    flaky = LossyBegin(store, done=done)
    application = application_over(flaky, network=SwitchingOn(flaky))
    payment = application.payments.accept(order(merchant_id, 5_000))
    application.settlement.settle()
    assert seen(application, payment).status is Status.SUCCESS
    assert balance(application, payment) == 5_000
    assert application.ledger.verify().transactions == 1


def test_a_lost_commit_of_a_try_that_failed_is_told_once(store: Store, merchant_id: UUID) -> None:
    # The first commit is that of the claim.
    application = application_over(LossyBegin(store, done=True, to_lose=1, spared=1))
    token = "tok_chargeDeclinedProcessingError"
    payment = application_over(store.begin).payments.accept(order(merchant_id, source=token))
    application.settlement.settle()
    told = application.payments.get_timeline(merchant_id, payment.id).told
    expected = [Event.CREATED, Event.PROCESSING, Event.RETRIED]
    assert [each.event.event for each in told] == expected


@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_a_lost_commit_of_a_promise_is_tried_again_and_promises_once(
    store: Store, merchant_id: UUID, done: bool
) -> None:
    application = application_over(store.begin)
    payment = application.payments.accept(order(merchant_id, 5_000))
    application.settlement.settle()
    one = application.refunds.create(NewRefund(merchant_id, payment.id, 3_000))
    # The first commit is that of the claim.
    flaky = application_over(LossyBegin(store, done=done, to_lose=1, spared=1))
    batches: list[Batch] = []
    flaky.settlement.settle(done=batches.append)
    assert [(batch.claimed, batch.lost, list(batch.stuck)) for batch in batches] == [(1, 0, [])]
    assert application.refunds.get(merchant_id, one.id).status is Status.SUCCESS
    account = application.accounts.get(merchant_id, payment.account_id)
    assert (account.balance, account.pending) == (2_000, (0, 0))
    told = application.payments.get_timeline(merchant_id, payment.id).told
    assert [each.event.event for each in told].count(Event.REFUND_RESERVED) == 1
    assert application.ledger.verify().clean


def test_another_merchants_things_are_not_there(
    application: Application, merchant_id: UUID
) -> None:
    payment = application.payments.accept(order(merchant_id))
    other = add_merchant(application.payments.accept.begin)
    with pytest.raises(NotFound):
        application.payments.get(other, payment.id)
    with pytest.raises(NotFound):
        application.accounts.get(other, payment.account_id)


def test_an_account_for_an_unknown_merchant_is_not_opened(application: Application) -> None:
    with pytest.raises(NotFound):
        application.accounts.open(NewAccount(IDS.new_id(), "Nobody", "USD"))
