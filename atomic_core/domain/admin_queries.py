"""Results of operators' queries, with details that merchants do not see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.fees import FeeSchedule
from atomic_core.domain.lists import AccountEntry
from atomic_core.domain.merchants import ApiKey, Merchant
from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import Refund

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WalkedPage(Generic[T]):
    """A page of a list that is filtered while it is walked. It may be short, or empty, although
    more items follow."""

    items: Sequence[T]
    next_after: UUID | None
    """The id after which the list goes on; None at its end."""


class AccountHead(NamedTuple):
    """The end of an account's hash chain, to be kept elsewhere."""

    id: UUID
    sequence: int
    """Of the last entry; 0 without entries."""
    head: bytes


class UnresolvedStep(NamedTuple):
    """A step of a payment or refund to which the card network has given no final response."""

    payment_id: UUID
    refund_id: UUID | None
    merchant_id: UUID
    amount: int
    """Minor units, of the payment or of the refund."""
    currency: str
    step: str
    network_state: str
    unresolved_since: datetime
    faults: int
    due_at: datetime

    @property
    def id(self) -> UUID:
        """The refund's id, or the payment's if this is not a refund."""
        return self.refund_id or self.payment_id


class UnresolvedTotal(NamedTuple):
    """The money of all steps that one card network has left open in one way, in one currency."""

    network: str
    network_state: str
    currency: str
    steps: int
    amount: int
    """Minor units: of a capture what it captures, of a refund what it returns."""
    overdue_steps: int
    """Steps that have been open for longer than the alarm."""
    overdue_amount: int
    oldest_since: datetime


class WorkProgress(NamedTuple):
    """The schedule of a payment or refund; the last one, if it is settled."""

    faults: int
    """Responses of the card network to the present step that were not final."""
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
