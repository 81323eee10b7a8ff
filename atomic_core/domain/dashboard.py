"""A merchant's dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.payments import Payment

MAX_RECENT_PAYMENTS: Final = 10
MAX_ACCOUNTS: Final = 100
"""The oldest are listed, which include the default account of each currency."""

MAX_COUNTED_PAYMENTS: Final = 100_000
"""The newest payments, counted for the totals of each response in about a tenth of a second. A
merchant with more of them in 30 days gets incomplete totals."""

TOTAL_DAYS: Final = 30
"""Including today. Days begin at midnight UTC."""


@dataclass(frozen=True, slots=True)
class PaymentTotal:
    """Payments of one status and currency. `amount` is in minor units, at most MAX_AMOUNT."""

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
    """The newest, newest first."""
    today: Sequence[PaymentTotal]
    last_30_days: Sequence[PaymentTotal]
    are_totals_complete: bool
    """False if the merchant has more payments than MAX_COUNTED_PAYMENTS."""
    at: datetime
