"""Amounts and currencies."""

import pytest

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import EXPONENTS, MAX_AMOUNT, Money


@pytest.mark.parametrize("amount", [1, MAX_AMOUNT])
def test_the_bounds_are_allowed(amount: int) -> None:
    assert Money(amount, "USD").amount == amount


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1, 2**63, True, 5.0, "5", None])
def test_anything_else_is_refused(amount: object) -> None:
    with pytest.raises(ValidationFailed) as refused:
        Money(amount, "USD")  # pyright: ignore[reportArgumentType]
    assert set(refused.value.details or {}) == {"amount"}


@pytest.mark.parametrize("currency", ["usd", "USD\n", "XXX", "", "DOLLARS", "XAU"])
def test_only_currencies_one_can_be_paid_in_are_known(currency: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        Money(1, currency)
    assert set(refused.value.details or {}) == {"currency"}


@pytest.mark.parametrize(
    ("code", "exponent"),
    [("JPY", 0), ("USD", 2), ("INR", 2), ("EUR", 2), ("KWD", 3), ("CLF", 4)],
)
def test_exponents_are_those_of_iso_4217(code: str, exponent: int) -> None:
    assert EXPONENTS[code] == exponent
