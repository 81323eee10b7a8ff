"""Two batches under way at once."""

import threading
from collections.abc import Callable, Sequence

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageRefused, StorageUnavailable
from atomic_core.domain.payments import Status
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_worker.settlement.batch_log import StoppedBetweenBatches
from atomic_worker.settlement.concurrent_settlement import settle_concurrently
from support import add_merchant, order

PATIENCE = 5


class Watched(SandboxCardNetwork):
    """A card network that does something of its own before it answers, batch after batch."""

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.before = before
        self.threads: list[str] = []

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.threads.append(threading.current_thread().name)
        self.before(len(self.threads))
        return SandboxCardNetwork().authorize(claims)


def shop(network: Watched, payments: int) -> Application:
    application = in_memory(network=network, batch_size=2)
    merchant_id = add_merchant(application.payments.accept.begin)
    for _ in range(payments):
        application.payments.accept(order(merchant_id))
    return application


def statuses(application: Application) -> list[Status]:
    with application.payments.accept.begin() as work:
        rows = work.payments.session.tables.payments.rows.values()  # type: ignore[attr-defined]
        return [row.item.status for row in rows]


def settle(application: Application, stopping: Callable[[], bool] = lambda: False) -> int:
    return settle_concurrently(application, "test", stopping)


def test_one_batch_needs_no_second_lane() -> None:
    network = Watched()
    assert settle(shop(network, 1)) == 1
    assert network.threads == [threading.current_thread().name]


def test_while_one_batch_is_in_hand_the_next_is_claimed_and_the_network_asked() -> None:
    together = threading.Barrier(2)

    def meet(number: int) -> None:
        if number > 1:
            together.wait(PATIENCE)

    network = Watched(meet)
    application = shop(network, 10)
    assert settle(application) == 10
    assert set(statuses(application)) == {Status.SUCCESS}
    assert len(set(network.threads)) == 2
    assert application.ledger.verify().clean


def test_asked_to_stop_both_lanes_commit_what_they_have_and_leave() -> None:
    together = threading.Barrier(2)
    stop = threading.Event()

    def meet_and_stop(number: int) -> None:
        if number > 1:
            together.wait(PATIENCE)
            stop.set()

    application = shop(Watched(meet_and_stop), 10)
    with pytest.raises(StoppedBetweenBatches):
        settle(application, stop.is_set)
    assert statuses(application).count(Status.SUCCESS) == 6
    assert statuses(application).count(Status.PENDING) == 4


@pytest.mark.parametrize("first", [True, False], ids=["this lane", "the other"])
def test_a_bug_in_either_lane_is_told_rather_than_the_weather(first: bool) -> None:
    together = threading.Barrier(2)

    def fail(number: int) -> None:
        if number > 1:
            together.wait(PATIENCE)
            mine = threading.current_thread() is threading.main_thread()
            raise StorageRefused("a bug") if mine is first else StorageUnavailable

    with pytest.raises(StorageRefused):
        settle(shop(Watched(fail), 10))


def test_weather_in_the_other_lane_is_told_when_this_one_is_done() -> None:
    together = threading.Barrier(2)

    def fail(number: int) -> None:
        if number in (2, 3):
            together.wait(PATIENCE)
        if threading.current_thread() is not threading.main_thread():
            raise StorageUnavailable

    application = shop(Watched(fail), 10)
    with pytest.raises(StorageUnavailable):
        settle(application)
    assert Status.PENDING not in statuses(application)
