"""Results of operators' queries, with details that merchants do not see."""

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
    """The schedule of a payment or refund; the last one, if it is settled."""

    faults: int
    """Network faults of the present step."""
    due_at: datetime
    """When it can be claimed, or claimed again."""
    leased_until: datetime | None
    """When the lease of its claim ends; None if it is not claimed."""


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
    """A merchant with its accounts, fees and keys, oldest first."""

    merchant: Merchant
    accounts: Sequence[Account]
    fees: Sequence[FeeSchedule]
    keys: Sequence[ApiKey]


@dataclass(frozen=True, slots=True)
class AccountDetails:
    account: Account
    entries: Sequence[AccountEntry]
    """The newest, newest first."""


class SystemAccounts(NamedTuple):
    """The system accounts of a currency; None for one that is not open."""

    world: Account | None = None
    fees: Account | None = None
