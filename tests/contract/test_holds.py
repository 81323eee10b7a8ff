"""Capture, cancellation and expiry of holds, on both stores."""

from datetime import timedelta

import pytest

from atomic_core.domain.errors import Conflict, NotFound, StorageRefused, ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, Status, Step
from atomic_core.domain.settlement import Settlement
from payment_scenarios import PaymentScenario
from support import HOUR, NOW, Store, add_merchant, build_application

MANUAL = CaptureMethod.MANUAL


def test_hold_counts_as_pending_and_not_as_balance(scenario: PaymentScenario) -> None:
    held = scenario.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.expires_at
    assert held.expires_at - held.created_at > timedelta(days=6, hours=23)
    assert (scenario.account.balance, scenario.account.pending, scenario.account.available) == (
        0,
        (700, 0),
        0,
    )
    assert scenario.application.ledger.verify().holds == 1
    scenario.assert_ledger_is_clean()


@pytest.mark.parametrize(("amount", "captured"), [(None, 700), (700, 700), (1, 1)])
def test_capture_posts_its_amount_and_releases_the_rest(
    scenario: PaymentScenario, amount: int | None, captured: int
) -> None:
    held = scenario.pay(700, capture=MANUAL)
    capturing = scenario.capture(held, amount)
    assert (capturing.status, capturing.step) == (Status.PROCESSING, Step.CAPTURE)
    done = scenario.settle(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, captured)
    assert (scenario.account.balance, scenario.account.pending) == (captured, (0, 0))
    scenario.assert_ledger_is_clean()


@pytest.mark.parametrize(
    ("amount", "error"), [(0, ValidationFailed), (-1, ValidationFailed), (701, Conflict)]
)
def test_capture_of_zero_or_above_hold_is_refused(
    scenario: PaymentScenario, amount: int, error: type[Exception]
) -> None:
    held = scenario.pay(700, capture=MANUAL)
    with pytest.raises(error):
        scenario.capture(held, amount)
    assert scenario.settle(held) == held


def test_void_posts_nothing(scenario: PaymentScenario) -> None:
    held = scenario.pay(700, capture=MANUAL)
    assert scenario.cancel(held).step == Step.VOID
    done = scenario.settle(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "requested_by_merchant")
    assert (scenario.account.balance, scenario.account.pending) == (0, (0, 0))
    assert scenario.network.calls == [("void", held.id)]
    scenario.assert_ledger_is_clean()


def test_hold_does_not_expire_before_its_end(scenario: PaymentScenario) -> None:
    held = scenario.pay(700, capture=MANUAL)
    assert scenario.application.settlement.expire_holds() == 0
    assert scenario.settle(held) == held


def test_hold_expires_once_after_its_end(store: Store, scenario: PaymentScenario) -> None:
    scenario.application = build_application(
        store.begin, card_network=scenario.network, hold_period=NOW
    )
    held = scenario.pay(700, capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert scenario.application.settlement.expire_holds() == 1
    assert scenario.application.settlement.expire_holds() == 0
    done = scenario.settle(held)
    assert (done.status, done.cancellation_reason) == (Status.CANCELED, "expired")
    assert scenario.account.pending == (0, 0)
    assert scenario.network.calls == [("void", held.id)]
    scenario.assert_ledger_is_clean()


def test_second_resolution_of_hold_raises_conflict_with_status(scenario: PaymentScenario) -> None:
    for first, second in ((scenario.capture, scenario.cancel), (scenario.cancel, scenario.capture)):
        held = scenario.pay(100, capture=MANUAL)
        first(held)
        with pytest.raises(Conflict) as conflict:
            second(held)
        assert conflict.value.details == {"status": ["PROCESSING"]}
        done = scenario.settle(held)
        for late in (scenario.capture, scenario.cancel):
            with pytest.raises(Conflict) as conflict:
                late(held)
            assert conflict.value.details == {"status": [done.status.value]}
        assert scenario.settle(held) == done


def test_payment_without_hold_is_neither_captured_nor_canceled(
    store: Store, scenario: PaymentScenario
) -> None:
    paid, failed = scenario.pay(100), scenario.pay(100, "tok_chargeDeclined", capture=MANUAL)
    assert failed.failure_reason == "card_declined"
    pending = scenario.application.payments.record(
        NewPayment(scenario.merchant_id, Money(1, "USD"), "tok_visa", capture=MANUAL)
    )
    for payment in (paid, failed, pending):
        for resolve in (scenario.capture, scenario.cancel):
            with pytest.raises(Conflict):
                resolve(payment)
    other_scenario = PaymentScenario(
        scenario.application, scenario.network, add_merchant(store.begin), scenario.account_id
    )
    held = scenario.pay(100, capture=MANUAL)
    for resolve in (other_scenario.capture, other_scenario.cancel):
        with pytest.raises(NotFound):
            resolve(held)
    assert scenario.settle(held) == held


def test_claim_of_authorization_is_lost_after_capture_request(
    store: Store, scenario: PaymentScenario
) -> None:
    """A worker whose commit had no reply tries again after the merchant requested a capture."""
    new_payment = NewPayment(scenario.merchant_id, Money(100, "USD"), "tok_visa", capture=MANUAL)
    payment = scenario.application.payments.record(new_payment)
    with store.begin() as work:
        stale = work.payments.claim(10, HOUR, NOW)
        work.commit()
    with store.begin() as work:
        work.payments.settle([Settlement(payment.id, Status.AUTHORIZED, None, 0, None)], HOUR)
        work.commit()
    scenario.capture(payment)
    with store.begin() as work:
        assert work.payments.lock_claims(stale) == []


def test_settling_with_live_hold_is_refused(store: Store, scenario: PaymentScenario) -> None:
    """A settled payment is not claimed again, so its hold would never be released."""
    held, paid = scenario.pay(700, capture=MANUAL), scenario.pay(700)
    scenario.capture(held)
    refund = scenario.create_refund(paid)
    scenario.network.failing_call = "refund"
    with pytest.raises(KeyboardInterrupt):
        scenario.application.settlement.settle()
    for status, reason in ((Status.SUCCESS, None), (Status.FAILED, "processing_error")):
        with pytest.raises(StorageRefused), store.begin() as work:
            work.payments.settle([Settlement(held.id, status, reason, 0, None)], HOUR)
        with pytest.raises(StorageRefused), store.begin() as work:
            settlement = Settlement(paid.id, status, reason, 0, None, refund_id=refund.id)
            work.refunds.settle([settlement])
    assert scenario.settle(held).status is Status.SUCCESS
    assert scenario.settle(paid).amount_refunded == 700
    scenario.assert_ledger_is_clean()


@pytest.mark.parametrize("source", ["tok_captureDeclined", "tok_captureProcessingError"])
def test_failed_capture_releases_hold(scenario: PaymentScenario, source: str) -> None:
    held = scenario.pay(700, source, capture=MANUAL)
    scenario.capture(held)
    done = scenario.settle(held)
    reason = "capture_declined" if source == "tok_captureDeclined" else "processing_error"
    assert (done.status, done.failure_reason) == (Status.FAILED, reason)
    assert (scenario.account.balance, scenario.account.pending) == (0, (0, 0))
    assert scenario.network.calls == [("capture", held.id), ("reverse", held.id)]
    scenario.assert_ledger_is_clean()


def test_undecided_network_is_called_until_it_decides(scenario: PaymentScenario) -> None:
    held = scenario.pay(700, "tok_slow", capture=MANUAL)
    assert held.status is Status.AUTHORIZED
    assert held.attempt == 3
    scenario.capture(held, 500)
    done = scenario.settle(held)
    assert (done.status, done.amount_captured) == (Status.SUCCESS, 500)
    scenario.assert_ledger_is_clean()


def test_hold_beyond_maximum_balance_is_refused(scenario: PaymentScenario) -> None:
    full = scenario.pay(MAX_AMOUNT, capture=MANUAL)
    for capture in CaptureMethod:
        overflowing = scenario.pay(1, capture=capture)
        assert (overflowing.status, overflowing.failure_reason) == (
            Status.FAILED,
            "balance_overflow",
        )
    scenario.capture(full, 1)
    assert scenario.settle(full).status is Status.SUCCESS
    assert scenario.pay(1).status is Status.SUCCESS
    scenario.assert_ledger_is_clean()


@pytest.mark.parametrize("call", ["capture", "void", "refund"])
def test_next_worker_settles_after_worker_died_in_network_call(
    scenario: PaymentScenario, call: str
) -> None:
    payment = scenario.pay(700, capture=CaptureMethod.AUTOMATIC if call == "refund" else MANUAL)
    request = {
        "capture": scenario.capture,
        "void": scenario.cancel,
        "refund": scenario.create_refund,
    }[call]
    request(payment)
    scenario.network.failing_call = call
    with pytest.raises(KeyboardInterrupt):
        scenario.application.settlement.settle()
    scenario.assert_ledger_is_clean()
    if call == "refund":
        assert scenario.account.pending == (0, 700), "the reserved amount stays unavailable"
        assert scenario.account.available == 0
    done = scenario.settle(payment)
    assert len(scenario.network.calls) == 2
    expected = {"capture": (700, 0), "void": (0, 0), "refund": (0, 700)}[call]
    assert (scenario.account.balance, done.amount_refunded) == expected
    assert scenario.account.pending == (0, 0)
    scenario.assert_ledger_is_clean()
