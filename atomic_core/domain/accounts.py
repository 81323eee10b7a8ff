"""The chart of accounts: owners, types, balances and pending amounts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from atomic_core.domain.money import MAX_AMOUNT

MAX_BALANCE: Final = MAX_AMOUNT
"""The highest balance of a merchant's account, pending amounts included. JSON readers keep it
exact."""

MAX_WORLD_BALANCE: Final = 2**63 - 1
"""The highest balance of a system account, and the lowest of World: PostgreSQL's bigint. One
merchant's maximum is a thousandth of it, so that no merchant can fill the World account."""

_WORLD_NAMESPACE: Final = UUID("6f3a1d52-8f0e-5b7c-9d27-5a1c0e4b7d10")
_FEES_NAMESPACE: Final = UUID("0d6b8a8e-3c55-5b5a-8c4e-6a1f2b9d7e31")


@cache
def world_account_id(currency: str) -> UUID:
    """The id of a currency's World account, the counterparty of all money from outside.

    Derived from the currency, so that processes that open it concurrently insert the same row.
    """
    return uuid5(_WORLD_NAMESPACE, currency)


@cache
def fee_account_id(currency: str) -> UUID:
    """The id of the account that collects a currency's fees. Derived like World's."""
    return uuid5(_FEES_NAMESPACE, currency)


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


class AccountType(StrEnum):
    """The five account types of double-entry bookkeeping. The accounts that payments credit are
    liabilities, World is an asset (what the card networks owe the gateway), the fee account
    revenue. Merchants choose the types of their other accounts."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"

    @property
    def normal_side(self) -> Side:
        """The side that increases it. `balance` is credits less debits for every type, so that an
        account with a normal debit side usually has a negative balance."""
        is_debit = self in (AccountType.ASSET, AccountType.EXPENSE)
        return Side.DEBIT if is_debit else Side.CREDIT


class AccountStatus(StrEnum):
    OPEN = "OPEN"
    FROZEN = "FROZEN"
    """Nothing is posted or reserved, but for what was reserved before: the card network has it
    already. Disputes are posted, because the network has moved the money."""
    CLOSED = "CLOSED"
    """As FROZEN. It was empty when it was closed, so that only disputes are posted."""


class PendingAmounts(NamedTuple):
    """Minor units that holds reserve into and out of an account."""

    incoming: int
    outgoing: int


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What a merchant may choose when it opens an account. See the fields of `Account`."""

    type: AccountType = AccountType.LIABILITY
    min_balance: int | None = 0
    max_balance: int | None = None
    external_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


DEFAULT_TERMS: Final = AccountTerms()
"""Of the accounts that payments credit."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account and the end of its hash chain. Amounts are in minor units of its currency."""

    id: UUID
    merchant_id: UUID | None
    name: str
    currency: str
    allow_negative: bool
    balance: int
    """Credits less debits of its entries."""
    sequence: int
    """Of the last entry; 0 without entries."""
    head: bytes
    """The hash of the last entry; `hash_account_identity` without entries."""
    created_at: datetime
    type: AccountType = AccountType.LIABILITY
    pending_in: int = 0
    """Holds into it: authorized, and neither captured nor released yet; and credits of pending
    journal transactions."""
    pending_out: int = 0
    """Holds out of it: refunds in progress, and debits of pending journal transactions."""
    last_posted_at: datetime | None = None
    """Of the last entry; None without entries."""
    status: AccountStatus = AccountStatus.OPEN
    status_changed_at: datetime | None = None
    """None: it has always been OPEN. Not before its last entry then."""
    min_balance: int | None = 0
    """The lowest available amount, at most 0. None: no limit of its own."""
    max_balance: int | None = None
    """The highest balance, pending amounts included, at least 0. None: no limit of its own."""
    external_id: str | None = None
    """The merchant's own id, unique among its accounts."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def new_merchant_account(
        cls,
        id: UUID,
        merchant_id: UUID,
        name: str,
        currency: str,
        created_at: datetime,
        terms: AccountTerms = DEFAULT_TERMS,
    ) -> "Account":
        account = cls._new(id, merchant_id, name, currency, created_at, terms.type)
        return replace(
            account,
            min_balance=terms.min_balance,
            max_balance=terms.max_balance,
            external_id=terms.external_id,
            metadata=terms.metadata,
        )

    @classmethod
    def new_world_account(cls, currency: str, created_at: datetime) -> "Account":
        """The outside world in one currency. Its balance is what is owed to merchants, negated."""
        id, name = world_account_id(currency), f"World {currency}"
        return cls._new(id, None, name, currency, created_at, AccountType.ASSET)

    @classmethod
    def new_fee_account(cls, currency: str, created_at: datetime) -> "Account":
        """The fees earned in one currency."""
        id, name = fee_account_id(currency), f"Fees {currency}"
        return cls._new(id, None, name, currency, created_at, AccountType.REVENUE)

    @classmethod
    def _new(
        cls,
        id: UUID,
        merchant_id: UUID | None,
        name: str,
        currency: str,
        created_at: datetime,
        type: AccountType,
    ) -> "Account":
        allow_negative = merchant_id is None and type is AccountType.ASSET
        return cls(
            id=id,
            merchant_id=merchant_id,
            name=name,
            currency=currency,
            allow_negative=allow_negative,
            balance=0,
            sequence=0,
            head=hash_account_identity(id, merchant_id, currency, allow_negative=allow_negative),
            created_at=created_at,
            type=type,
            min_balance=None if allow_negative else 0,
        )

    @property
    def normal_side(self) -> Side:
        return AccountType(self.type).normal_side

    @property
    def pending(self) -> PendingAmounts:
        return PendingAmounts(self.pending_in, self.pending_out)

    @property
    def available(self) -> int:
        """The amount that can be spent: the balance less outgoing holds. Incoming holds do not
        count until they are captured."""
        return self.balance - self.pending_out

    @property
    def has_activity(self) -> bool:
        """Whether it has entries or pending amounts."""
        return bool(self.sequence or self.pending_in or self.pending_out)

    @property
    def can_be_negative(self) -> bool:
        """Whether its balance may fall below zero without a dispute."""
        return self.allow_negative or self.min_balance is None or self.min_balance < 0

    @property
    def is_empty(self) -> bool:
        return not (self.balance or self.pending_in or self.pending_out)

    @property
    def balance_bounds(self) -> tuple[int, int]:
        """The lowest and the highest balance that the account may have without pending amounts.
        Disputes ignore the lower one, and their reversals the upper one."""
        if self.allow_negative:
            return -MAX_WORLD_BALANCE, MAX_WORLD_BALANCE
        if self.merchant_id is None:
            return 0, MAX_WORLD_BALANCE
        low = -MAX_BALANCE if self.min_balance is None else self.min_balance
        return low, MAX_BALANCE if self.max_balance is None else self.max_balance


def hash_account_identity(
    account_id: UUID, merchant_id: UUID | None, currency: str, *, allow_negative: bool
) -> bytes:
    """The head of an account without entries. It covers the owner and the currency, so that
    changing either breaks the chain."""
    owner = merchant_id.bytes if merchant_id else bytes(16)
    identity = account_id.bytes + owner + bytes([allow_negative]) + currency.encode()
    return hashlib.sha256(identity).digest()
