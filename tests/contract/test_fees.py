"""Fees on both stores: rounded half to even, and every leg accounted for."""

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
        (FeeTerms(500, 0), 10, 0),  # 0.5: to the even 0
        (FeeTerms(500, 0), 30, 2),  # 1.5: to the even 2
        (FeeTerms(500, 0), 50, 2),  # 2.5: to the even 2
        (FeeTerms(0, 30), 20, 20),  # all of it, and no more
        (FeeTerms(10_000, 0), 7, 7),
        (FeeTerms(0, 0), 7, 0),
        (FeeTerms(10_000, MAX_AMOUNT), MAX_AMOUNT, MAX_AMOUNT),
    ],
)
def test_fees_are_rounded_half_to_even_and_legs_sum_to_zero(
    shop: PaymentScenario, terms: FeeTerms, amount: int, fee: int
) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", terms)
    paid = shop.pay(amount)
    assert (paid.status, paid.fee) == (Status.SUCCESS, fee)
    assert shop.account.balance == amount - fee
    timeline = shop.application.payments.get_timeline(shop.merchant_id, paid.id)
    posted = timeline.events[-1].posted
    assert posted
    legs = {entry.account_id: entry.amount for entry in posted.entries}
    expected = {
        world_account_id("USD"): -amount,
        shop.account_id: amount - fee,
        fee_account_id("USD"): fee,
    }
    assert legs == {id: leg for id, leg in expected.items() if leg}
    shop.assert_ledger_is_clean()


def test_partial_capture_pays_fee_on_captured_amount_and_void_pays_none(
    shop: PaymentScenario,
) -> None:
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(1_000, 5))
    held, void = shop.pay(1_000, capture=MANUAL), shop.pay(1_000, capture=MANUAL)
    shop.capture(held, 400)
    shop.cancel(void)
    assert shop.settle(held).fee == 45
    assert shop.settle(void).fee == 0
    assert shop.account.balance == 355
    shop.assert_ledger_is_clean()


def test_fee_terms_apply_to_later_payments_in_their_currency(
    store: Store, shop: PaymentScenario
) -> None:
    free = shop.pay(100)
    shop.application.fees.set(shop.merchant_id, "EUR", FeeTerms(100, 100))
    shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(100, 1))
    agreed = shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(100, 0))
    assert agreed.terms == FeeTerms(100, 0)
    listed = shop.application.fees.list(shop.merchant_id)
    assert [each.currency for each in listed] == ["EUR", "USD"]
    assert (free.fee, shop.pay(100).fee) == (0, 1)
    for currency, terms in (("XXX", FeeTerms()), ("USD", FeeTerms(-1)), ("USD", FeeTerms(0, -1))):
        with pytest.raises(ValidationFailed):
            shop.application.fees.set(shop.merchant_id, currency, terms)
    with pytest.raises(ValidationFailed):
        shop.application.fees.set(shop.merchant_id, "USD", FeeTerms(10_001))
    with pytest.raises(NotFound):
        shop.application.fees.set(UUID(int=1), "USD", FeeTerms())
