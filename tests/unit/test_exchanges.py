"""Amounts of currency exchanges."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.exchanges import compute_amounts, convert, parse_rate
from atomic_core.domain.money import MAX_AMOUNT


@pytest.mark.parametrize(
    ("amount", "source", "target", "rate", "expected"),
    [
        (10_000, "USD", "EUR", "0.92155", 9_216),
        (10_000, "USD", "EUR", "0.92145", 9_214),
        (100, "USD", "JPY", "155.5", 156),
        (100, "USD", "JPY", "154.5", 154),
        (156, "JPY", "USD", "0.0064", 100),
        (1_000, "USD", "KWD", "0.3075", 3_075),
        (1, "USD", "EUR", "0.5", 0),
        (3, "USD", "EUR", "0.5", 2),
        (MAX_AMOUNT, "USD", "EUR", "1.000000000001", 9_007_199_254_749_998),
        (MAX_AMOUNT, "USD", "EUR", "1", MAX_AMOUNT),
    ],
)
def test_amounts_are_exact_and_rounded_half_to_even(
    amount: int, source: str, target: str, rate: str, expected: int
) -> None:
    assert convert(amount, source, target, parse_rate(rate)) == expected


@pytest.mark.parametrize("text", ["1", "0.1", "0.000000000001", "999999999.999999999999", "10.50"])
def test_rates_are_decimals(text: str) -> None:
    assert parse_rate(text) == Fraction(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0.0", "-1", "+1", "01", "1.", ".1", "1e3", "1/2", "1_0", " 1", "1\n", "٣"),
        *("1000000000", "0.0000000000001", "NaN", "Infinity", "1,5"),
    ],
)
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(ValidationFailed):
        parse_rate(text)


@pytest.mark.parametrize(
    ("currencies", "rate", "amounts", "field"),
    [
        (("USD", "EUR"), "1", (None, None), "sourceAmount"),
        (("USD", "EUR"), "1", (1, 1), "sourceAmount"),
        (("USD", "USD"), "1", (1, None), "targetAccountId"),
        (("USD", "EUR"), "0.5", (1, None), "sourceAmount"),
        (("USD", "EUR"), "2", (MAX_AMOUNT, None), "sourceAmount"),
        (("USD", "EUR"), "0.5", (None, MAX_AMOUNT), "targetAmount"),
    ],
)
def test_amounts_that_do_not_exist_are_refused(
    currencies: tuple[str, str], rate: str, amounts: tuple[int | None, int | None], field: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        compute_amounts(*currencies, parse_rate(rate), *amounts)
    assert refused.value.details
    assert list(refused.value.details) == [field]


@given(st.integers(1, 10**12), st.integers(1, 10**18))
def test_both_directions_differ_by_half_a_unit_at_most(amount: int, scaled_rate: int) -> None:
    rate = Fraction(scaled_rate, 10**9)
    source, target = "USD", "JPY"
    exact = amount * rate / 100
    assert abs(convert(amount, source, target, rate) - exact) <= Fraction(1, 2)
    assert abs(convert(amount, target, source, 1 / rate) - amount * 100 / rate) <= Fraction(1, 2)
