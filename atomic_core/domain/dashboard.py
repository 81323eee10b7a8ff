"""What a merchant sees first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.payments import Payment

MAX_RECENT_PAYMENTS: Final = 10
MAX_ACCOUNTS: Final = 100
"""The oldest: the one in each currency that payments credit is among them, in any honest use."""

MAX_COUNTED_PAYMENTS: Final = 100_000
"""Payments looked at for the totals, the newest: they are counted anew for each answer, in about a
tenth of a second. A merchant who has more in 30 days is told that the totals are not whole."""

TOTAL_DAYS: Final = 30
"""Today is the last of them; days begin at midnight UTC."""


@dataclass(frozen=True, slots=True)
class PaymentTotal:
    """Payments of one status and currency. `amount` is in minor units, and MAX_AMOUNT if it is more
    than that."""

    status: str
    currency: str
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class MerchantProfile:
    id: UUID
    name: str
    email: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Dashboard:
    profile: MerchantProfile
    accounts: Sequence[Account]
    payments: Sequence[Payment]
    """The last ones, newest first."""
    today: Sequence[PaymentTotal]
    last_30_days: Sequence[PaymentTotal]
    are_totals_complete: bool
    """Whether the totals count all payments of their days: see MAX_COUNTED_PAYMENTS."""
    at: datetime
