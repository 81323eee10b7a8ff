"""Money is a whole number of minor units (cents, paise, yen) of one ISO 4217 currency."""

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
"""By code: how many decimals of the unit the minor unit is."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that can be charged: 1 to MAX_AMOUNT minor units of a known currency.

    Raises ValidationFailed for any other amount (bool and float included) or currency.
    """

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 1 <= self.amount <= MAX_AMOUNT:
            raise ValidationFailed(
                details={"amount": [f"Must be a whole number from 1 to {MAX_AMOUNT}."]}
            )
        if self.currency not in CURRENCY_EXPONENTS:
            raise ValidationFailed(details={"currency": ["Is not an ISO 4217 currency code."]})


def format_minor_units(amount: int, currency: str) -> str:
    """Minor units as a person reads them: -5 of USD is -0.05, of JPY -5, of KWD -0.005.

    Exact whatever the amount, and of any sign. Raises KeyError for an unknown currency.
    """
    exponent = CURRENCY_EXPONENTS[currency]
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), 10**exponent)
    return f"{sign}{whole}.{part:0{exponent}}" if exponent else f"{sign}{whole}"
