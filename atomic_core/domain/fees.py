"""Fees: what a merchant pays for a payment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import CURRENCY_EXPONENTS, MAX_AMOUNT

MAX_BASIS_POINTS: Final = 10_000
"""100 %."""


class FeeTerms(NamedTuple):
    """A percentage in basis points, and a fixed amount in minor units of the payment's currency."""

    basis_points: int = 0
    fixed: int = 0

    def compute_fee(self, amount: int) -> int:
        """The fee of a captured amount, in minor units: the percentage, rounded half to even,
        plus the fixed amount; at most the captured amount."""
        percentage, remainder = divmod(amount * self.basis_points, MAX_BASIS_POINTS)
        is_half = 2 * remainder == MAX_BASIS_POINTS
        if 2 * remainder > MAX_BASIS_POINTS or (is_half and percentage % 2 == 1):
            percentage += 1
        return min(amount, percentage + self.fixed)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The fees of one merchant in one currency. They apply to claims from `updated_at` on. A refund
    returns no fee."""

    merchant_id: UUID
    currency: str
    terms: FeeTerms
    updated_at: datetime


def check_fee_terms(currency: str, terms: FeeTerms) -> None:
    """Raises ValidationFailed for an unknown currency or a value out of range."""
    if currency not in CURRENCY_EXPONENTS:
        raise ValidationFailed(details={"currency": ["Must be an ISO 4217 currency code."]})
    if type(terms.basis_points) is not int or not 0 <= terms.basis_points <= MAX_BASIS_POINTS:
        raise ValidationFailed(
            details={"basisPoints": [f"Must be an integer from 0 to {MAX_BASIS_POINTS}."]}
        )
    if type(terms.fixed) is not int or not 0 <= terms.fixed <= MAX_AMOUNT:
        raise ValidationFailed(details={"fixed": [f"Must be an integer from 0 to {MAX_AMOUNT}."]})
