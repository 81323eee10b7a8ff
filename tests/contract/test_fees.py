"""Fees, on both stores."""

from uuid import UUID

import pytest

from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.errors import NotFound, ValidationFailed
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import CaptureMethod, Status
from payment_scenarios import PaymentScenario
from support import Store

MANUAL = CaptureMethod.MANUAL


@pytest.mark.parametrize(
    ("terms", "amount", "fee"),
    [
        (FeeTerms(290, 30), 10_000, 320),
        (FeeTerms(290, 0), 50, 1),  # 1.45
        (FeeTerms(500, 0), 10, 0),  # 0.5 is rounded to 0
        (FeeTerms(500, 0), 30, 2),  # 1.5 is rounded to 2
        (FeeTerms(500, 0), 50, 2),  # 2.5 is rounded to 2
        (FeeTerms(0, 30), 20, 20),  # the fee is at most the amount
        (FeeTerms(10_000, 0), 7, 7),
        (FeeTerms(0, 0), 7, 0),
        (FeeTerms(10_000, MAX_AMOUNT), MAX_AMOUNT, MAX_AMOUNT),
    ],
)
def test_fees_are_rounded_half_to_even_and_legs_sum_to_zero(
    scenario: PaymentScenario, terms: FeeTerms, amount: int, fee: int
) -> None:
    scenario.application.fees.set(scenario.merchant_id, "USD", terms)
    paid = scenario.pay(amount)
    assert (paid.status, paid.fee) == (Status.SUCCESS, fee)
    assert scenario.account.balance == amount - fee
    timeline = scenario.application.payments.get_timeline(scenario.merchant_id, paid.id)
    posted = timeline.events[-1].posted
    assert posted
    legs = {entry.account_id: entry.amount for entry in posted.entries}
    expected = {
        world_account_id("USD"): -amount,
        scenario.account_id: amount - fee,
        fee_account_id("USD"): fee,
    }
    assert legs == {id: leg for id, leg in expected.items() if leg}
    scenario.assert_ledger_is_clean()


def test_partial_capture_pays_fee_on_captured_amount_and_void_pays_none(
    scenario: PaymentScenario,
) -> None:
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(1_000, 5))
    held, canceled = scenario.pay(1_000, capture=MANUAL), scenario.pay(1_000, capture=MANUAL)
    scenario.capture(held, 400)
    scenario.cancel(canceled)
    assert scenario.settle(held).fee == 45
    assert scenario.settle(canceled).fee == 0
    assert scenario.account.balance == 355
    scenario.assert_ledger_is_clean()


def test_fee_terms_apply_to_later_payments_in_their_currency(
    store: Store, scenario: PaymentScenario
) -> None:
    paid_before = scenario.pay(100)
    scenario.application.fees.set(scenario.merchant_id, "EUR", FeeTerms(100, 100))
    scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(100, 1))
    schedule = scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(100, 0))
    assert schedule.terms == FeeTerms(100, 0)
    schedules = scenario.application.fees.list(scenario.merchant_id)
    assert [schedule.currency for schedule in schedules] == ["EUR", "USD"]
    assert (paid_before.fee, scenario.pay(100).fee) == (0, 1)
    for currency, terms in (("XXX", FeeTerms()), ("USD", FeeTerms(-1)), ("USD", FeeTerms(0, -1))):
        with pytest.raises(ValidationFailed):
            scenario.application.fees.set(scenario.merchant_id, currency, terms)
    with pytest.raises(ValidationFailed):
        scenario.application.fees.set(scenario.merchant_id, "USD", FeeTerms(10_001))
    with pytest.raises(NotFound):
        scenario.application.fees.set(UUID(int=1), "USD", FeeTerms())
