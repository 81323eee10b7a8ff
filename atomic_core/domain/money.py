"""Money: an integer number of minor units (cents, paise, yen) of an ISO 4217 currency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from atomic_core.domain.currencies import CURRENCIES
from atomic_core.domain.errors import ValidationFailed

MAX_AMOUNT: Final = 2**53 - 1
"""9,007,199,254,740,991: the largest integer that every JSON reader keeps exact (RFC 8259, 6)."""

CURRENCY_EXPONENTS: Final[Mapping[str, int]] = {
    currency.code: currency.exponent for currency in CURRENCIES.values()
}
"""Decimal places of the minor unit, by currency code."""


@dataclass(frozen=True, slots=True)
class Money:
    """A positive amount: 1 to MAX_AMOUNT minor units of a known currency.

    Raises ValidationFailed for any other amount (bool and float included) or currency.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 1 <= self.amount <= MAX_AMOUNT:
            raise ValidationFailed(
                details={"amount": [f"Must be an integer from 1 to {MAX_AMOUNT}."]}
            )
        if self.currency not in CURRENCY_EXPONENTS:
            raise ValidationFailed(details={"currency": ["Must be an ISO 4217 currency code."]})


def format_minor_units(amount: int, currency: str) -> str:
    """The amount in major units: -5 is -0.05 in USD, -5 in JPY and -0.005 in KWD.

    Exact for any integer. Raises KeyError for an unknown currency.
    """
    exponent = CURRENCY_EXPONENTS[currency]
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), 10**exponent)
    return f"{sign}{whole}.{part:0{exponent}}" if exponent else f"{sign}{whole}"
