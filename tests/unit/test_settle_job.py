"""The job behind the bell."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import pytest

from atomic_adapters.memory import MemoryStore
from atomic_adapters.memory.outside import MemoryJobQueue
from atomic_adapters.sandbox_card_network import SandboxCardNetwork
from atomic_adapters.system import SystemClock
from atomic_core.application import Application
from atomic_core.domain.errors import StorageRefused, StorageUnavailable
from atomic_core.domain.payments import Authorization, Claim, Status
from atomic_core.ports.outside import Job
from atomic_core.ports.unit_of_work import Begin
from atomic_core.use_cases import payments
from atomic_worker import jobs
from support import add_merchant, application_over, order


@pytest.fixture
def queue() -> MemoryJobQueue:
    return MemoryJobQueue()


@pytest.fixture
def begin() -> Begin:
    return MemoryStore(SystemClock()).begin


@pytest.fixture(autouse=True)
def forget_application() -> Iterator[None]:
    yield
    jobs._benches.clear()


def use(begin: Begin, queue: MemoryJobQueue, **changed: object) -> Application:
    application = application_over(begin, queue=queue, **changed)  # pyright: ignore
    jobs.use(application)
    return application


class Network:
    """Does something while the network is being asked, once."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile: Callable[[], object] | None = meanwhile

    def authorize(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return SandboxCardNetwork().authorize(claims)


def test_it_settles_what_is_due_and_silences_the_bell(begin: Begin, queue: MemoryJobQueue) -> None:
    application = use(begin, queue)
    payment = application.accept_payment(order(add_merchant(begin)))
    assert queue.ringing == {Job.SETTLE}
    jobs.settle()
    seen = application.get_payment(payment.merchant_id, payment.id)
    assert seen.status is Status.SUCCESS
    assert queue.ringing == set()


def test_a_payment_that_arrives_while_it_works_rings_again(
    begin: Begin, queue: MemoryJobQueue
) -> None:
    """Silencing the bell after the last look would lose this ring."""
    merchant_id = add_merchant(begin)

    def arrive() -> None:
        application.accept_payment(order(merchant_id))

    application = use(begin, queue, network=Network(arrive))
    arrive()
    jobs.settle()
    assert queue.ringing == {Job.SETTLE}


def test_with_more_work_than_one_job_may_do_it_rings_for_the_next(
    begin: Begin, queue: MemoryJobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (payments, jobs):
        monkeypatch.setattr(module, "MAX_BATCHES", 2)
    application = use(begin, queue, batch_size=1)
    merchant_id = add_merchant(begin)
    for _ in range(3):
        application.accept_payment(order(merchant_id))
    jobs.settle()
    assert queue.ringing == {Job.SETTLE}
    jobs.settle()
    assert queue.ringing == set()


def test_asked_to_stop_it_ends_after_the_batch_in_hand_and_rings_for_the_rest(
    begin: Begin, queue: MemoryJobQueue
) -> None:
    application = application_over(begin, queue=queue, batch_size=1)
    jobs.use(application, stopping=lambda: True)
    merchant_id = add_merchant(begin)
    accepted = [application.accept_payment(order(merchant_id)).id for _ in range(2)]
    jobs.settle()
    statuses = [application.get_payment(merchant_id, id).status for id in accepted]
    assert statuses == [Status.SUCCESS, Status.PENDING]
    assert queue.ringing == {Job.SETTLE}


def _raise(error: Exception) -> None:
    raise error


def test_a_store_that_is_away_is_left_to_the_sweeper(begin: Begin, queue: MemoryJobQueue) -> None:
    application = use(begin, queue, network=Network(lambda: _raise(StorageUnavailable())))
    application.accept_payment(order(add_merchant(begin)))
    jobs.settle()
    assert application.verify_ledger().transactions == 0


def test_a_bug_is_not_hidden(begin: Begin, queue: MemoryJobQueue) -> None:
    application = use(begin, queue, network=Network(lambda: _raise(StorageRefused())))
    application.accept_payment(order(add_merchant(begin)))
    with pytest.raises(StorageRefused):
        jobs.settle()


def test_it_names_no_payment(begin: Begin) -> None:
    with pytest.raises(TypeError):
        jobs.settle(UUID(int=1))  # pyright: ignore
