"""A merchant's dashboard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Payment, Status

MAX_RECENT_PAYMENTS: Final = 10
MAX_ACCOUNTS: Final = 100
"""The oldest are listed, which include the default account of each currency."""

MAX_COUNTED_OPEN_PAYMENTS: Final = 5_000
"""The newest payments of a currency that are PENDING or PROCESSING, counted for each response in
about two milliseconds. The store keeps the totals of all others."""

TOTAL_DAYS: Final = 30
"""Including today. Days begin at midnight UTC."""


@dataclass(frozen=True, slots=True)
class PaymentSum:
    """Exact sums of payments of one status and currency, in minor units."""

    status: str
    currency: str
    count: int
    amount: int
    """What was captured of payments that are SUCCESS, what was requested of the others."""
    refunded: int
    fees: int

    def plus(self, other: "PaymentSum", sign: int = 1) -> "PaymentSum":
        """The sum with `other`, of the same status and currency, added or (-1) subtracted."""
        return PaymentSum(
            self.status,
            self.currency,
            self.count + sign * other.count,
            self.amount + sign * other.amount,
            self.refunded + sign * other.refunded,
            self.fees + sign * other.fees,
        )


def build_sum(payment: Payment) -> PaymentSum:
    """What one payment contributes."""
    return PaymentSum(
        payment.status.value,
        payment.money.currency,
        count=1,
        amount=payment.amount_captured or payment.money.amount,
        refunded=payment.amount_refunded,
        fees=payment.fee,
    )


@dataclass(frozen=True, slots=True)
class PaymentTotal:
    """Payments of one status and currency. Amounts are in minor units, at most MAX_AMOUNT.

    `captured`, `refunded`, `fees` and `net` are those of the payments' ledger transactions,
    whenever these were posted. Only payments that are SUCCESS have any.
    """

    status: str
    currency: str
    count: int
    amount: int
    """`captured` if the status is SUCCESS, else the requested amount."""
    captured: int = 0
    refunded: int = 0
    fees: int = 0
    net: int = 0
    """What the merchant's accounts received: captured less refunded and fees. Negative if a refund
    or a fee was paid from other payments."""


def build_totals(sums: Iterable[PaymentSum]) -> Sequence[PaymentTotal]:
    """One total per status and currency, in this order."""
    exact: dict[tuple[str, str], PaymentSum] = {}
    for row in sums:
        key = (row.status, row.currency)
        exact[key] = exact.get(key, PaymentSum(*key, 0, 0, 0, 0)).plus(row)
    return [_build_total(exact[key]) for key in sorted(exact)]


def _build_total(row: PaymentSum) -> PaymentTotal:
    captured = row.amount if row.status == Status.SUCCESS else 0
    # From exact sums: what is capped is not what the accounts received.
    net = captured - row.refunded - row.fees
    return PaymentTotal(
        row.status,
        row.currency,
        row.count,
        amount=min(row.amount, MAX_AMOUNT),
        captured=min(captured, MAX_AMOUNT),
        refunded=min(row.refunded, MAX_AMOUNT),
        fees=min(row.fees, MAX_AMOUNT),
        net=max(-MAX_AMOUNT, min(net, MAX_AMOUNT)),
    )


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
    """Of payments created today."""
    last_30_days: Sequence[PaymentTotal]
    are_totals_complete: bool
    """False if the merchant has more than MAX_COUNTED_OPEN_PAYMENTS open payments: of these, only
    the newest of each currency count. All others count in any case."""
    at: datetime
