"""What operators see beyond what merchants do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from atomic_core.domain.accounts import Account
from atomic_core.domain.fees import FeeSchedule
from atomic_core.domain.lists import AccountEntry
from atomic_core.domain.merchants import ApiKey, Merchant
from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import Refund


class WorkProgress(NamedTuple):
    """How far the open work of a payment or refund is; of settled ones, how it ended."""

    faults: int
    """Of the card network, in its present step."""
    due_at: datetime
    """When it shall be taken up: the end of a back-off."""
    leased_until: datetime | None
    """When its settler's time is over, if one has it."""


@dataclass(frozen=True, slots=True)
class AdminPayment:
    payment: Payment
    progress: WorkProgress


@dataclass(frozen=True, slots=True)
class AdminRefund:
    refund: Refund
    progress: WorkProgress


@dataclass(frozen=True, slots=True)
class MerchantDetails:
    """A merchant with accounts, fees and keys, the oldest of these first."""

    merchant: Merchant
    accounts: Sequence[Account]
    fees: Sequence[FeeSchedule]
    keys: Sequence[ApiKey]


@dataclass(frozen=True, slots=True)
class AccountDetails:
    account: Account
    entries: Sequence[AccountEntry]
    """The last ones, newest first."""


class SystemAccounts(NamedTuple):
    """The house's own accounts in a currency, as far as they are open."""

    world: Account | None = None
    fees: Account | None = None
