"""Concurrent settlement of two batches."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageRefused, StorageUnavailable
from atomic_core.domain.payments import Status
from atomic_core.domain.settlement import Claim, NetworkResponse
from atomic_worker.settlement.batch_log import StoppedBetweenBatches
from atomic_worker.settlement.concurrent_settlement import settle_concurrently
from support import UnregisteredWorker, add_merchant, build_payment, with_use_cases

GUARD_SECONDS = 60


class HookedCardNetwork(SandboxCardNetwork):
    """Calls a hook with the number of the batch before each authorization."""

    def __init__(self, before_batch: Callable[[int], None] = lambda number: None) -> None:
        self.before_batch = before_batch
        self.thread_names: list[str] = []

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        self.thread_names.append(threading.current_thread().name)
        self.before_batch(len(self.thread_names))
        return SandboxCardNetwork().authorize(claims)


class HookedWorkerLiveness(UnregisteredWorker):
    """Calls a hook with the number of the batch before each claim."""

    def __init__(self, before_claim: Callable[[int], None]) -> None:
        self.before_claim = before_claim
        self._numbers = count(1)

    def worker_id(self) -> int | None:
        self.before_claim(next(self._numbers))
        return super().worker_id()


def hook_claims(application: Application, before_claim: Callable[[int], None]) -> Application:
    """The same application; settlement calls the hook before each claim."""
    liveness = HookedWorkerLiveness(before_claim)
    settle = replace(application.settlement.settle, worker_liveness=liveness)
    return with_use_cases(application, {"settlement.settle": settle})


def build_application(network: HookedCardNetwork, payment_count: int) -> Application:
    application = in_memory(card_network=network, batch_size=2)
    merchant_id = add_merchant(application.payments.record.begin)
    for _ in range(payment_count):
        application.payments.record(build_payment(merchant_id))
    return application


def list_statuses(application: Application) -> list[Status]:
    with application.payments.record.begin() as work:
        rows = work.payments.session.tables.payments.rows.values()  # type: ignore[attr-defined]
        return [row.item.status for row in rows]


def settle(application: Application, should_stop: Callable[[], bool] = lambda: False) -> int:
    return settle_concurrently(application.settlement.settle, "test", should_stop)


def test_single_batch_uses_one_thread() -> None:
    network = HookedCardNetwork()
    assert settle(build_application(network, 1)) == 1
    assert network.thread_names == [threading.current_thread().name]


def test_next_batch_calls_the_network_while_the_first_is_settled() -> None:
    barrier = threading.Barrier(2)

    def wait_for_both(number: int) -> None:
        if number > 1:
            barrier.wait(GUARD_SECONDS)

    network = HookedCardNetwork(wait_for_both)
    application = build_application(network, 10)
    assert settle(application) == 10
    assert set(list_statuses(application)) == {Status.SUCCESS}
    assert len(set(network.thread_names)) == 2
    assert application.ledger.verify().is_clean


def test_stop_request_ends_both_threads_after_their_current_batch() -> None:
    barrier = threading.Barrier(2)
    stop_requested = threading.Event()

    def wait_for_both_and_stop(number: int) -> None:
        if number > 1:
            barrier.wait(GUARD_SECONDS)
            stop_requested.set()

    application = build_application(HookedCardNetwork(wait_for_both_and_stop), 10)
    with pytest.raises(StoppedBetweenBatches):
        settle(application, stop_requested.is_set)
    assert list_statuses(application).count(Status.SUCCESS) == 6
    assert list_statuses(application).count(Status.PENDING) == 4


@pytest.mark.parametrize(
    "is_bug_in_main_thread", [True, False], ids=["main thread", "helper thread"]
)
def test_permanent_error_takes_precedence_over_transient_one(is_bug_in_main_thread: bool) -> None:
    barrier = threading.Barrier(2)

    def fail(number: int) -> None:
        if number > 1:
            barrier.wait(GUARD_SECONDS)
            is_main_thread = threading.current_thread() is threading.main_thread()
            if is_main_thread is is_bug_in_main_thread:
                raise StorageRefused("a bug")
            raise StorageUnavailable

    with pytest.raises(StorageRefused):
        settle(hook_claims(build_application(HookedCardNetwork(), 10), fail))


def test_transient_error_of_the_helper_thread_is_raised_after_the_main_thread_ends() -> None:
    barrier = threading.Barrier(2)

    def fail(number: int) -> None:
        if number in (2, 3):
            barrier.wait(GUARD_SECONDS)
        if threading.current_thread() is not threading.main_thread():
            raise StorageUnavailable

    application = hook_claims(build_application(HookedCardNetwork(), 10), fail)
    with pytest.raises(StorageUnavailable):
        settle(application)
    assert Status.PENDING not in list_statuses(application)
