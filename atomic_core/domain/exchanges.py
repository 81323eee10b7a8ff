"""Currency exchange: amounts by a rate, and the entries of an exchange."""

import re
from fractions import Fraction
from typing import Final

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import CURRENCY_EXPONENTS, MAX_AMOUNT

RATE_PATTERN: Final = re.compile(r"(?=[0-9.]*[1-9])(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,12})?")
"""A positive decimal: up to nine digits before the point and twelve after it."""

INVALID_RATE: Final = (
    "Must be a positive decimal in a string, with at most 9 digits before the point and 12 after."
)

RATE_KEY: Final = "exchangeRate"
"""Of the transaction's metadata, which never changes."""


def parse_rate(text: str) -> Fraction:
    """The exact value. Raises ValidationFailed."""
    if not RATE_PATTERN.fullmatch(text):
        raise ValidationFailed(details={"rate": [INVALID_RATE]})
    return Fraction(text)


def convert(amount: int, source: str, target: str, rate: Fraction) -> int:
    """An amount of the currency `source` in `target`, both in minor units. One major unit of
    `source` is worth `rate` major units of `target`. Rounded once, half to even."""
    shift = CURRENCY_EXPONENTS[target] - CURRENCY_EXPONENTS[source]
    return round(amount * rate * Fraction(10) ** shift)


def compute_amounts(
    source: str, target: str, rate: Fraction, source_amount: int | None, target_amount: int | None
) -> tuple[int, int]:
    """Both amounts of an exchange, of which one is given. Raises ValidationFailed, also if the
    other one is not from 1 to MAX_AMOUNT."""
    if source == target:
        raise ValidationFailed(
            details={"targetAccountId": [f"Must have another currency than the source, {source}."]}
        )
    if source_amount is not None and target_amount is None:
        field, computed = "sourceAmount", convert(source_amount, source, target, rate)
        amounts = (source_amount, computed)
    elif target_amount is not None and source_amount is None:
        field, computed = "targetAmount", convert(target_amount, target, source, 1 / rate)
        amounts = (computed, target_amount)
    else:
        problem = "Must be sent, or targetAmount, and not both."
        raise ValidationFailed(details={"sourceAmount": [problem]})
    if not 1 <= computed <= MAX_AMOUNT:
        problem = f"The other amount would be {computed}; it must be from 1 to {MAX_AMOUNT}."
        raise ValidationFailed(details={field: [problem]})
    return amounts
