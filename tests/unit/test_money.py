"""Amounts and currencies."""

from collections import Counter

import pytest

from atomic_core.domain.currencies import CURRENCIES
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import CURRENCY_EXPONENTS, MAX_AMOUNT, Money, format_minor_units


@pytest.mark.parametrize("amount", [1, MAX_AMOUNT])
def test_amount_bounds_are_accepted(amount: int) -> None:
    assert Money(amount, "USD").amount == amount


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1, 2**63, True, 5.0, "5", None])
def test_other_amounts_and_currencies_are_refused(amount: object) -> None:
    with pytest.raises(ValidationFailed) as refused:
        Money(amount, "USD")  # pyright: ignore[reportArgumentType]
    assert set(refused.value.details or {}) == {"amount"}


@pytest.mark.parametrize("currency", ["usd", "USD\n", "XXX", "", "DOLLARS", "XAU", "XDR"])
def test_only_currencies_with_a_minor_unit_exist(currency: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        Money(1, currency)
    assert set(refused.value.details or {}) == {"currency"}


def test_currency_table_matches_iso_list_one() -> None:
    counted = Counter(CURRENCY_EXPONENTS.values())
    assert counted == {0: 17, 2: 139, 3: 7, 4: 2}
    assert list(CURRENCIES) == sorted(CURRENCIES)
    assert len({currency.name for currency in CURRENCIES.values()}) >= 160
    for code, currency in CURRENCIES.items():
        assert currency.code == code
        assert len(code) == 3
        assert code.isalpha()
        assert code.isupper()
        assert code.isascii()
        assert currency.name == currency.name.strip() != ""


@pytest.mark.parametrize(
    ("exponent", "codes"),
    [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (2, "USD EUR INR GBP MGA MRU HUF TWD SLE VED VES XAD XCG ZWG"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ],
)
def test_exponents_match_iso_4217(exponent: int, codes: str) -> None:
    listed = {code for code, each in CURRENCY_EXPONENTS.items() if each == exponent}
    assert set(codes.split()) <= listed
    assert exponent == 2 or listed == set(codes.split())


def test_withdrawn_currencies_do_not_exist() -> None:
    assert (
        not {"ANG", "BGN", "CUC", "HRK", "SLL", "ZWL", "BYR", "MRO", "STD"}
        & CURRENCY_EXPONENTS.keys()
    )


@pytest.mark.parametrize(
    ("amount", "currency", "formatted"),
    [
        (0, "JPY", "0"),
        (5, "JPY", "5"),
        (-1234, "JPY", "-1234"),
        (0, "USD", "0.00"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (100, "USD", "1.00"),
        (-123456, "USD", "-1234.56"),
        (1, "KWD", "0.001"),
        (-1000, "KWD", "-1.000"),
        (1, "CLF", "0.0001"),
        (-12345, "CLF", "-1.2345"),
        (MAX_AMOUNT, "USD", "90071992547409.91"),
        (-(2**63 - 1), "CLF", "-922337203685477.5807"),
    ],
)
def test_minor_units_are_formatted_exactly(amount: int, currency: str, formatted: str) -> None:
    assert format_minor_units(amount, currency) == formatted


def test_formatted_amount_parses_back() -> None:
    for currency, exponent in CURRENCY_EXPONENTS.items():
        for amount in (0, 1, 9, 10, 99, 10**exponent, -1, -(10**exponent) - 1, MAX_AMOUNT):
            assert int(format_minor_units(amount, currency).replace(".", "")) == amount
