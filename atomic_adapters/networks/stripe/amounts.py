"""Amounts in Stripe's minor units, which differ from those of ISO 4217 for some currencies
(https://docs.stripe.com/currencies)."""

from typing import Final

from atomic_core.domain.money import CURRENCY_EXPONENTS

ZERO_DECIMAL: Final = frozenset(
    (
        *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV"),
        *("XAF", "XOF", "XPF"),
    )
)
"""Charged in whole units. Of these only MGA has a minor unit in ISO 4217."""

WHOLE_UNITS_IN_HUNDREDTHS: Final = frozenset(("ISK", "UGX"))
"""Without a minor unit, but Stripe counts hundredths that must be zero."""

THREE_DECIMAL: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
"""Stripe takes thousandths whose last digit is zero."""


def is_currency_supported(currency: str) -> bool:
    """Whether this adapter knows how Stripe counts the currency. Stripe may still refuse it."""
    return (
        currency in ZERO_DECIMAL | WHOLE_UNITS_IN_HUNDREDTHS | THREE_DECIMAL
        or CURRENCY_EXPONENTS[currency] == 2
    )


def to_stripe_amount(amount: int, currency: str) -> int | None:
    """`amount` in minor units of ISO 4217, as Stripe counts it; None if Stripe cannot charge it.
    HUF and TWD are charged in hundredths; only Stripe's payouts of them are whole units."""
    if not is_currency_supported(currency):
        return None
    if currency in WHOLE_UNITS_IN_HUNDREDTHS:
        return amount * 100
    if currency in THREE_DECIMAL:
        return None if amount % 10 else amount
    if currency in ZERO_DECIMAL:
        whole, rest = divmod(amount, 10 ** CURRENCY_EXPONENTS[currency])
        return None if rest else whole
    return amount


def from_stripe_amount(amount: int, currency: str) -> int | None:
    """The reverse of `to_stripe_amount`, also for negative amounts. None for what is no whole
    number of minor units, and for a currency that is not known here."""
    if currency not in CURRENCY_EXPONENTS or not is_currency_supported(currency):
        return None
    if currency in WHOLE_UNITS_IN_HUNDREDTHS:
        return None if amount % 100 else amount // 100
    if currency in ZERO_DECIMAL:
        return amount * 10 ** CURRENCY_EXPONENTS[currency]
    return amount
