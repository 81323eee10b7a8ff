"""Dashboards, on both stores: their totals are those of the ledger."""

from dataclasses import astuple

import pytest

from atomic_core.domain.credentials import Credentials
from atomic_core.domain.dashboard import Dashboard, PaymentTotal
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.payments import CaptureMethod, NewPayment
from payment_scenarios import PaymentScenario
from support import Store, add_merchant, build_payment, open_account

MANUAL = CaptureMethod.MANUAL


def get_dashboard(store: Store, scenario: PaymentScenario) -> Dashboard:
    credentials = Credentials(
        scenario.merchant_id,
        f"{scenario.merchant_id}@shop.example",
        "$argon2id$",
        scenario.account_id,
    )
    with store.begin() as work:
        if not work.sessions.find_credentials(credentials.email):
            work.sessions.add_credentials(credentials)
            work.commit()
    return scenario.application.merchants.get_dashboard(scenario.merchant_id)


def list_totals(dashboard: Dashboard) -> list[tuple[object, ...]]:
    """Status, currency, count, amount; captured, refunded, fees, net."""
    assert list(dashboard.today) == list(dashboard.last_30_days)
    return [astuple(total) for total in dashboard.today]


def test_totals_are_what_was_captured_and_refunded(store: Store, scenario: PaymentScenario) -> None:
    held = scenario.pay(10_000, capture=MANUAL)
    scenario.capture(held, 1)
    paid = scenario.pay(700)
    scenario.refund_and_settle(paid, 700)
    dashboard = get_dashboard(store, scenario)
    assert list_totals(dashboard) == [("SUCCESS", "USD", 2, 701, 701, 700, 0, 1)]
    assert scenario.account.balance == 1


def test_net_is_less_fees_which_refunds_do_not_return(
    store: Store, scenario: PaymentScenario
) -> None:
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(fixed=30))
    paid = scenario.pay(1_000)
    scenario.pay(500)
    scenario.refund_and_settle(paid, 400)
    [total] = get_dashboard(store, scenario).today
    assert total == PaymentTotal("SUCCESS", "USD", 2, 1_500, 1_500, 400, 60, 1_040)
    assert scenario.account.balance == total.net


def test_fee_of_refunded_payment_is_paid_from_other_payments(
    store: Store, scenario: PaymentScenario
) -> None:
    scenario.pay(50)
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(fixed=30))
    paid = scenario.pay(100)
    scenario.refund_and_settle(paid, 100)
    [total] = get_dashboard(store, scenario).today
    assert (total.captured, total.refunded, total.fees, total.net) == (150, 100, 30, 20)
    assert scenario.account.balance == 20


def test_payments_that_captured_nothing_have_their_requested_amount(
    store: Store, scenario: PaymentScenario
) -> None:
    scenario.pay(10_000, capture=MANUAL)
    scenario.pay(20, "tok_chargeDeclined")
    declined = scenario.pay(30, "tok_captureDeclined", capture=MANUAL)
    scenario.settle(scenario.capture(declined, 3))
    canceled = scenario.pay(40, capture=MANUAL)
    scenario.settle(scenario.cancel(canceled))
    capturing = scenario.pay(50, capture=MANUAL)
    scenario.capture(capturing, 5)
    assert list_totals(get_dashboard(store, scenario)) == [
        ("AUTHORIZED", "USD", 1, 10_000, 0, 0, 0, 0),
        ("CANCELED", "USD", 1, 40, 0, 0, 0, 0),
        ("FAILED", "USD", 2, 50, 0, 0, 0, 0),
        ("PROCESSING", "USD", 1, 50, 0, 0, 0, 0),
    ]


def test_refund_counts_when_it_is_posted(store: Store, scenario: PaymentScenario) -> None:
    paid = scenario.pay(1_000)
    scenario.create_refund(paid, 400)
    [total] = get_dashboard(store, scenario).today
    assert (total.refunded, total.net) == (0, 1_000)
    scenario.settle(paid)
    declined = scenario.pay(10, "tok_refundDeclined")
    scenario.refund_and_settle(declined, 10)
    [total] = get_dashboard(store, scenario).today
    assert (total.refunded, total.net) == (400, 610)


def test_totals_above_the_largest_amount_are_capped(
    store: Store, scenario: PaymentScenario
) -> None:
    for _ in range(2):
        paid = scenario.pay(MAX_AMOUNT)
        scenario.refund_and_settle(paid, MAX_AMOUNT - 1)
        scenario.refund_and_settle(paid, 1)
    scenario.pay(5)
    [total] = get_dashboard(store, scenario).today
    assert (total.amount, total.captured, total.refunded) == (MAX_AMOUNT,) * 3
    assert total.net == scenario.account.balance == 5


def test_only_open_payments_are_counted_up_to_a_maximum(
    store: Store, scenario: PaymentScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    for adapter in ("memory", "postgres"):
        monkeypatch.setattr(f"atomic_adapters.{adapter}.dashboard.MAX_COUNTED_OPEN_PAYMENTS", 1)
    for amount in (1_000, 200, 30):
        scenario.pay(amount)
    scenario.application.payments.record(build_payment(scenario.merchant_id, 4))
    dashboard = get_dashboard(store, scenario)
    assert dashboard.are_totals_complete
    assert list_totals(dashboard) == [
        ("PENDING", "USD", 1, 4, 0, 0, 0, 0),
        ("SUCCESS", "USD", 3, 1_230, 1_230, 0, 0, 1_230),
    ]
    for amount in (5, 6, 7):
        scenario.application.payments.record(build_payment(scenario.merchant_id, amount))
    dashboard = get_dashboard(store, scenario)
    assert not dashboard.are_totals_complete
    assert [(total.status, total.amount) for total in dashboard.last_30_days] == [
        ("PENDING", 7 + 6),
        ("SUCCESS", 1_230),
    ]


def test_open_payments_are_counted_up_to_the_maximum_in_each_currency(
    store: Store, scenario: PaymentScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    for adapter in ("memory", "postgres"):
        monkeypatch.setattr(f"atomic_adapters.{adapter}.dashboard.MAX_COUNTED_OPEN_PAYMENTS", 1)
    open_account(store.begin, scenario.merchant_id, "EUR")
    for currency, amount in (("EUR", 8), ("USD", 5), ("USD", 6), ("USD", 7)):
        new_payment = NewPayment(scenario.merchant_id, Money(amount, currency), "tok_visa")
        scenario.application.payments.record(new_payment)
    dashboard = get_dashboard(store, scenario)
    assert not dashboard.are_totals_complete
    assert [(total.currency, total.count, total.amount) for total in dashboard.today] == [
        ("EUR", 1, 8),
        ("USD", 2, 7 + 6),
    ]


def test_totals_are_the_merchants_own(store: Store, scenario: PaymentScenario) -> None:
    other_id = add_merchant(store.begin)
    open_account(store.begin, other_id)
    scenario.application.payments.record(build_payment(other_id, 9))
    scenario.pay(100)
    assert list_totals(get_dashboard(store, scenario)) == [
        ("SUCCESS", "USD", 1, 100, 100, 0, 0, 100)
    ]
