"""What a merchant pays the house for a payment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import CURRENCY_EXPONENTS, MAX_AMOUNT

MAX_BASIS_POINTS: Final = 10_000
"""Basis points in a whole."""


class FeeTerms(NamedTuple):
    """A part in basis points, and a fixed amount in minor units of the payment's currency."""

    basis_points: int = 0
    fixed: int = 0

    def compute_fee(self, amount: int) -> int:
        """The fee of a captured amount, in minor units: the part rounded half to even, then the
        fixed amount; never more than was captured."""
        part, rest = divmod(amount * self.basis_points, MAX_BASIS_POINTS)
        if 2 * rest > MAX_BASIS_POINTS or (2 * rest == MAX_BASIS_POINTS and part % 2 == 1):
            part += 1
        return min(amount, part + self.fixed)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The terms of one merchant in one currency. They hold for what is captured from then on; a
    refund gives no fee back."""

    merchant_id: UUID
    currency: str
    terms: FeeTerms
    updated_at: datetime


def check_fee_terms(currency: str, terms: FeeTerms) -> None:
    """Raises ValidationFailed."""
    if currency not in CURRENCY_EXPONENTS:
        raise ValidationFailed(details={"currency": ["Is not an ISO 4217 currency code."]})
    if type(terms.basis_points) is not int or not 0 <= terms.basis_points <= MAX_BASIS_POINTS:
        raise ValidationFailed(details={"basisPoints": [f"Must be from 0 to {MAX_BASIS_POINTS}."]})
    if type(terms.fixed) is not int or not 0 <= terms.fixed <= MAX_AMOUNT:
        raise ValidationFailed(details={"fixed": [f"Must be from 0 to {MAX_AMOUNT}."]})
