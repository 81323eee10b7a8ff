"""The sweeper's rounds."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.ledger_verification import Finding, LedgerCheck, LedgerReport
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status
from atomic_worker.settlement.sweeper import MAX_PAUSE_SECONDS, Sweeper
from atomic_worker.stop_request import StopRequest
from processes import wait_until
from support import add_merchant, build_payment, with_use_cases

SETTINGS = replace(
    Settings.from_environ({"DATABASE_URL": "postgresql:///nowhere"}),
    sweep_interval=timedelta(milliseconds=20),
    ledger_check_interval=timedelta(milliseconds=50),
)


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    stop = StopRequest()
    yield stop
    stop.close()


def running(sweeper: Sweeper) -> threading.Thread:
    thread = threading.Thread(target=sweeper.run)
    thread.start()
    return thread


def test_it_settles_what_no_bell_announced_until_asked_to_stop(stop: StopRequest) -> None:
    application = in_memory()
    merchant_id = add_merchant(application.payments.record.begin)
    payment = application.payments.record(build_payment(merchant_id))
    thread = running(Sweeper(application, SETTINGS, stop))
    try:
        wait_until(
            lambda: application.payments.get(merchant_id, payment.id).status is Status.SUCCESS,
            5,
            "it is settled",
        )
    finally:
        stop.request()
        thread.join(5)
    assert not thread.is_alive()


def test_a_stop_ends_a_long_wait_at_once(stop: StopRequest) -> None:
    patient = replace(SETTINGS, sweep_interval=timedelta(seconds=60))
    thread = running(Sweeper(in_memory(), patient, stop))
    stop.request()
    thread.join(5)
    assert not thread.is_alive()


def test_it_survives_a_database_that_is_away_and_says_so_once(stop: StopRequest) -> None:
    application = in_memory()
    rounds: list[int] = []

    def settle(**_: object) -> int:
        rounds.append(len(rounds))
        if len(rounds) <= 4:
            raise StorageUnavailable
        if len(rounds) == 6:
            stop.request()
        return 0

    sick = with_use_cases(application, {"settlement.settle": settle})
    with capture_logs() as lines:
        Sweeper(sick, SETTINGS, stop).run()
    events = [line["event"] for line in lines if line["event"] != "ledger verified"]
    assert events == ["sweeper started", "sweep failed", "sweep recovered", "sweeper stopped"]


def test_it_lets_go_of_holds_that_have_ended(stop: StopRequest) -> None:
    application = in_memory(hold_period=timedelta(0))
    merchant = application.merchants.add("Shop")
    order = NewPayment(merchant.id, Money(1, "USD"), "tok_visa", capture=CaptureMethod.MANUAL)
    held = application.payments.record(order)
    application.settlement.settle()
    eager = replace(SETTINGS, sweep_interval=timedelta(0))
    Sweeper(application, eager, stop).sweep()
    assert application.payments.get(merchant.id, held.id).status is Status.CANCELED


def test_pauses_grow_and_are_bounded(stop: StopRequest) -> None:
    sweeper = Sweeper(in_memory(), SETTINGS, stop)
    pauses = [sweeper._record_failure(StorageUnavailable(), 0.02) for _ in range(40)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.02
    assert pauses[-1] == MAX_PAUSE_SECONDS


def test_it_checks_the_books_and_tells_findings_as_errors(stop: StopRequest) -> None:
    report = LedgerReport(
        1, 2, 3, 4, 0, 0, [Finding(LedgerCheck.CHAIN_UNBROKEN, "a#7", "does not follow")]
    )
    sick = with_use_cases(in_memory(), {"ledger.verify": lambda: report})
    with capture_logs() as lines:
        thread = running(Sweeper(sick, SETTINGS, stop))
        wait_until(
            lambda: any(line["event"] == "ledger verified" for line in lines), 5, "it is checked"
        )
        stop.request()
        thread.join(5)
    error = next(line for line in lines if line["event"] == "ledger verification failed")
    assert (error["log_level"], error["subject"]) == ("error", "a#7")


def test_a_long_check_does_not_hold_up_payments(stop: StopRequest) -> None:
    application = in_memory()
    merchant_id = add_merchant(application.payments.record.begin)
    checking, finish = threading.Event(), threading.Event()

    def check() -> LedgerReport:
        checking.set()
        assert finish.wait(10)
        return LedgerReport(0, 0, 0, 0, 0, 0, [])

    slow = with_use_cases(application, {"ledger.verify": check})
    thread = running(Sweeper(slow, SETTINGS, stop))
    try:
        assert checking.wait(5)
        payment = application.payments.record(build_payment(merchant_id))
        wait_until(
            lambda: application.payments.get(merchant_id, payment.id).status is Status.SUCCESS,
            5,
            "it is settled during the check",
        )
    finally:
        finish.set()
        stop.request()
        thread.join(5)
