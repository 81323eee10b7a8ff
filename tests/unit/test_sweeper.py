"""The sweeper."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from atomic_adapters.settings import Settings
from atomic_adapters.system import ManualClock
from atomic_adapters.wiring import in_memory
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.journal import (
    DEFAULT_PENDING_PERIOD,
    JournalStatus,
    NewJournalTransaction,
)
from atomic_core.domain.ledger_verification import Finding, LedgerCheck, LedgerReport
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status
from atomic_core.domain.posting import Leg
from atomic_core.domain.reconciliation import LineKind
from atomic_core.domain.webhooks import RoundRecord
from atomic_core.use_cases.in_doubt import DEFAULT_IN_DOUBT_ALARM
from atomic_core.use_cases.ledger import NewAccount
from atomic_core.use_cases.reconciliation import SCHEDULED_DELAY
from atomic_core.use_cases.webhook_endpoints import EndpointRequest
from atomic_worker.settlement.sweeper import MAX_PAUSE_SECONDS, Sweeper
from atomic_worker.stop_request import StopRequest
from processes import wait_until
from statement_network import StatementNetwork
from support import add_merchant, build_payment, with_use_cases

GUARD_SECONDS = 60

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


def start_thread(sweeper: Sweeper) -> threading.Thread:
    thread = threading.Thread(target=sweeper.run)
    thread.start()
    return thread


def test_sweeper_settles_without_wakeups_until_stopped(stop: StopRequest) -> None:
    application = in_memory()
    merchant_id = add_merchant(application.payments.record.begin)
    payment = application.payments.record(build_payment(merchant_id))
    thread = start_thread(Sweeper(application, SETTINGS, stop))
    try:
        wait_until(
            lambda: application.payments.get(merchant_id, payment.id).status is Status.SUCCESS,
            GUARD_SECONDS,
            "the payment is settled",
        )
    finally:
        stop.request()
        thread.join(GUARD_SECONDS)
    assert not thread.is_alive()


def test_stop_request_ends_a_long_wait(stop: StopRequest) -> None:
    # Longer than the guard, so that the stop request must end the wait.
    settings = replace(SETTINGS, sweep_interval=timedelta(hours=1))
    thread = start_thread(Sweeper(in_memory(), settings, stop))
    stop.request()
    thread.join(GUARD_SECONDS)
    assert not thread.is_alive()


def test_step_that_stays_open_is_reported(stop: StopRequest) -> None:
    clock = ManualClock(datetime(2026, 11, 27, tzinfo=UTC))
    application = in_memory(clock)
    merchant_id = add_merchant(application.payments.record.begin)
    payment = application.payments.record(build_payment(merchant_id, source="tok_noAnswer"))
    application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    sweeper = Sweeper(application, SETTINGS, stop)
    clock.time += DEFAULT_IN_DOUBT_ALARM - timedelta(microseconds=1)
    assert sweeper.report_unresolved() == 0
    clock.time += timedelta(microseconds=1)
    with capture_logs() as logs:
        assert sweeper.report_unresolved() == 1
    [line] = logs
    assert (line["log_level"], line["event"]) == ("error", "step unresolved")
    assert (line["payment"], line["network_state"]) == (str(payment.id), "unknown")


def test_long_doubt_is_logged_once_and_is_in_the_stream(stop: StopRequest) -> None:
    clock = ManualClock(datetime(2026, 11, 27, tzinfo=UTC))
    application = in_memory(clock)
    merchant_id = add_merchant(application.payments.record.begin)
    payment = application.payments.record(build_payment(merchant_id, source="tok_noAnswer"))
    application.settlement.settle()
    clock.time += DEFAULT_IN_DOUBT_ALARM
    sweeper = Sweeper(application, SETTINGS, stop)
    with capture_logs() as logs:
        assert [sweeper.report_doubts(), sweeper.report_doubts()] == [1, 0]
    [line] = logs
    assert (line["log_level"], line["event"]) == ("error", "payment in doubt")
    assert (line["payment"], line["since"]) == (str(payment.id), "2026-11-27T00:00:00.000Z")
    with application.payments.record.begin() as work:
        stream = work.events.list_stream(merchant_id, EventFilter(), 10, is_oldest_first=True)
    types = [event.event.type for event in stream]
    assert types == [EventType.ACCOUNT_CREATED, EventType.IN_DOUBT]


def test_outage_of_the_database_is_logged_once(stop: StopRequest) -> None:
    application = in_memory()
    rounds = 0

    def settle(**_: object) -> int:
        nonlocal rounds
        rounds += 1
        if rounds <= 4:
            raise StorageUnavailable
        if rounds == 6:
            stop.request()
        return 0

    failing = with_use_cases(application, {"settlement.settle": settle})
    with capture_logs() as lines:
        Sweeper(failing, SETTINGS, stop).run()
    events = [line["event"] for line in lines if line["event"] != "ledger verified"]
    assert events == ["sweeper started", "sweep failed", "sweep recovered", "sweeper stopped"]


def test_expired_holds_are_released(stop: StopRequest) -> None:
    application = in_memory(hold_period=timedelta(0))
    merchant = application.merchants.add("Shop")
    new = NewPayment(merchant.id, Money(1, "USD"), "tok_visa", capture=CaptureMethod.MANUAL)
    held = application.payments.record(new)
    application.settlement.settle()
    settings = replace(SETTINGS, sweep_interval=timedelta(0))
    Sweeper(application, settings, stop).sweep()
    assert application.payments.get(merchant.id, held.id).status is Status.CANCELED


def test_expired_ledger_transactions_are_released(stop: StopRequest) -> None:
    clock = ManualClock(datetime(2026, 11, 27, tzinfo=UTC))
    application = in_memory(clock)
    merchant = application.merchants.add("Shop")
    first, second = (
        application.accounts.open(NewAccount(merchant.id, name, "USD")).id for name in "AB"
    )
    application.payments.record(NewPayment(merchant.id, Money(10, "USD"), "tok_visa"))
    application.settlement.settle()
    legs = (Leg(first, -1), Leg(second, 1))
    pending = application.journal.post(NewJournalTransaction(merchant.id, legs, is_pending=True))
    sweeper = Sweeper(application, replace(SETTINGS, sweep_interval=timedelta(0)), stop)
    clock.time += DEFAULT_PENDING_PERIOD - timedelta(seconds=1)
    sweeper.sweep()
    assert application.journal.get(merchant.id, pending.id) == pending
    clock.time += timedelta(seconds=1)
    sweeper.sweep()
    found = application.journal.get(merchant.id, pending.id)
    assert found.status is JournalStatus.EXPIRED


def test_balance_snapshots_are_taken_of_days_that_have_ended(stop: StopRequest) -> None:
    clock = ManualClock(datetime(2026, 11, 27, 23, tzinfo=UTC))
    application = in_memory(clock)
    merchant = application.merchants.add("Shop")
    application.payments.record(NewPayment(merchant.id, Money(10, "USD"), "tok_visa"))
    application.settlement.settle()
    sweeper = Sweeper(application, replace(SETTINGS, sweep_interval=timedelta(0)), stop)
    assert sweeper.take_snapshots() == 0
    clock.time += timedelta(hours=2)
    # Of World and of the merchant's account.
    assert sweeper.take_snapshots() == 2
    assert sweeper.take_snapshots() == 0


def test_pauses_grow_up_to_a_maximum(stop: StopRequest) -> None:
    sweeper = Sweeper(in_memory(), SETTINGS, stop)
    pauses = [sweeper._record_failure(StorageUnavailable(), 0.02) for _ in range(40)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.02
    assert pauses[-1] == MAX_PAUSE_SECONDS


def test_findings_of_the_verification_are_logged_as_errors(stop: StopRequest) -> None:
    report = LedgerReport(
        1, 2, 3, 4, 0, 0, [Finding(LedgerCheck.CHAIN_UNBROKEN, "a#7", "does not follow")]
    )
    application = with_use_cases(in_memory(), {"ledger.verify": lambda: report})
    with capture_logs() as lines:
        thread = start_thread(Sweeper(application, SETTINGS, stop))
        wait_until(
            lambda: any(line["event"] == "ledger verified" for line in lines),
            GUARD_SECONDS,
            "the ledger is verified",
        )
        stop.request()
        thread.join(GUARD_SECONDS)
    error = next(line for line in lines if line["event"] == "ledger verification failed")
    assert (error["log_level"], error["subject"]) == ("error", "a#7")


def test_long_verification_does_not_delay_settlement(stop: StopRequest) -> None:
    application = in_memory()
    merchant_id = add_merchant(application.payments.record.begin)
    verifying, finish = threading.Event(), threading.Event()

    def verify() -> LedgerReport:
        verifying.set()
        assert finish.wait(GUARD_SECONDS)
        return LedgerReport(0, 0, 0, 0, 0, 0, [])

    slow_application = with_use_cases(application, {"ledger.verify": verify})
    thread = start_thread(Sweeper(slow_application, SETTINGS, stop))
    try:
        assert verifying.wait(GUARD_SECONDS)
        payment = application.payments.record(build_payment(merchant_id))
        wait_until(
            lambda: application.payments.get(merchant_id, payment.id).status is Status.SUCCESS,
            GUARD_SECONDS,
            "the payment is settled during the verification",
        )
    finally:
        finish.set()
        stop.request()
        thread.join(GUARD_SECONDS)


def test_what_it_delivers_is_reported(stop: StopRequest) -> None:
    application = in_memory()
    merchant_id = add_merchant(application.payments.record.begin)
    request = EndpointRequest(merchant_id, "https://shop.example/hook")
    application.webhooks.create_endpoint(request)
    application.payments.record(build_payment(merchant_id))
    webhooks = replace(SETTINGS.webhooks, encryption_keys=("any",))
    reported: list[int] = []

    def on_round(record: RoundRecord) -> None:
        reported.append(len(record.outcomes))
        stop.request()

    Sweeper(application, replace(SETTINGS, webhooks=webhooks), stop, on_round).run()
    assert sum(reported) > 0


def test_last_day_is_reconciled_in_the_background(stop: StopRequest) -> None:
    network = StatementNetwork()
    application = in_memory(card_network=network, statement=network)
    network.add_line(LineKind.CHARGE, 900)
    network.lines[0] = network.lines[0]._replace(created_at=find_scheduled_day())
    with capture_logs() as logs:
        thread = start_thread(Sweeper(application, SETTINGS, stop))
        try:
            wait_until(
                lambda: any(log["event"] == "reconciled" for log in logs),
                GUARD_SECONDS,
                "the day is reconciled",
            )
        finally:
            stop.request()
            thread.join()
    [difference] = [log for log in logs if log["event"] == "reconciliation difference"]
    assert (difference["difference"], difference["there"]) == ("missing_here", 900)
    assert difference["log_level"] == "error"
    [report] = application.reconciliation.get_last_scheduled()
    assert report.difference_count == 1


def test_failed_reconciliation_stops_nothing(stop: StopRequest) -> None:
    network = StatementNetwork(is_available=False)
    application = in_memory(card_network=network, statement=network)
    merchant_id = add_merchant(application.payments.record.begin)
    payment = application.payments.record(build_payment(merchant_id))
    with capture_logs() as logs:
        thread = start_thread(Sweeper(application, SETTINGS, stop))
        try:
            wait_until(
                lambda: (
                    any(log["event"] == "reconciliation failed" for log in logs)
                    and application.payments.get(merchant_id, payment.id).status is Status.SUCCESS
                ),
                GUARD_SECONDS,
                "it fails, and the payment is settled",
            )
        finally:
            stop.request()
            thread.join()
    assert application.reconciliation.list(1) == []


def find_scheduled_day() -> datetime:
    """A moment in the day that is reconciled on schedule at present."""
    end = datetime.now(UTC) - SCHEDULED_DELAY
    return end.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=1)
