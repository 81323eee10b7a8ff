"""The chart of accounts: whose an account is, of which type, what is in it and what is pending."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from atomic_core.domain.money import MAX_AMOUNT

MAX_BALANCE: Final = MAX_AMOUNT
"""Ceiling of a merchant's account, with what is pending: its balance is shown in JSON."""

MAX_WORLD_BALANCE: Final = 2**63 - 1
"""Bound of the house's own accounts: PostgreSQL's bigint. A single merchant's ceiling is a
thousandth of it, so no merchant can fill the World account and stop the others."""

_WORLD_NAMESPACE: Final = UUID("6f3a1d52-8f0e-5b7c-9d27-5a1c0e4b7d10")
_FEES_NAMESPACE: Final = UUID("0d6b8a8e-3c55-5b5a-8c4e-6a1f2b9d7e31")


@cache
def world_account_id(currency: str) -> UUID:
    """The id of a currency's World account, the counterparty of all money from outside.

    Derived from the currency, so that two processes that open it at once mean the same row.
    """
    return uuid5(_WORLD_NAMESPACE, currency)


@cache
def fee_account_id(currency: str) -> UUID:
    """The id of the account that collects a currency's fees. Derived, as World's is."""
    return uuid5(_FEES_NAMESPACE, currency)


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


class AccountType(StrEnum):
    """The five types of double-entry bookkeeping. Here a merchant's account is a liability (we
    owe what is in it), World an asset (what the card networks owe us), fees are revenue."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"

    @property
    def normal_side(self) -> Side:
        """The side that makes it grow. `balance` is credits less debits for every type, so one
        with a normal debit side has a negative balance as a rule."""
        grows_by_debit = self in (AccountType.ASSET, AccountType.EXPENSE)
        return Side.DEBIT if grows_by_debit else Side.CREDIT


class PendingAmounts(NamedTuple):
    """Minor units that are held for an account, and promised from it."""

    incoming: int
    outgoing: int


@dataclass(frozen=True, slots=True)
class Account:
    """One account and the tip of its chain. Amounts in minor units of its currency."""

    id: UUID
    merchant_id: UUID | None
    name: str
    currency: str
    allow_negative: bool
    balance: int
    """Posted: credits less debits."""
    sequence: int
    head: bytes
    created_at: datetime
    type: AccountType = AccountType.LIABILITY
    pending_in: int = 0
    """Held for it: authorized, and not yet captured or let go."""
    pending_out: int = 0
    """Promised from it: refunds on their way to the card network."""

    @classmethod
    def new_merchant_account(
        cls, id: UUID, merchant_id: UUID, name: str, currency: str, created_at: datetime
    ) -> "Account":
        return cls._at_zero(id, merchant_id, name, currency, created_at, AccountType.LIABILITY)

    @classmethod
    def new_world_account(cls, currency: str, created_at: datetime) -> "Account":
        """The outside world in one currency: negative by as much as merchants are owed."""
        id, name = world_account_id(currency), f"World {currency}"
        return cls._at_zero(id, None, name, currency, created_at, AccountType.ASSET)

    @classmethod
    def new_fee_account(cls, currency: str, created_at: datetime) -> "Account":
        """What the house earned in one currency."""
        id, name = fee_account_id(currency), f"Fees {currency}"
        return cls._at_zero(id, None, name, currency, created_at, AccountType.REVENUE)

    @classmethod
    def _at_zero(
        cls,
        id: UUID,
        merchant_id: UUID | None,
        name: str,
        currency: str,
        created_at: datetime,
        type: AccountType,
    ) -> "Account":
        allow_negative = type is AccountType.ASSET
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
        )

    @property
    def normal_side(self) -> Side:
        return AccountType(self.type).normal_side

    @property
    def pending(self) -> PendingAmounts:
        return PendingAmounts(self.pending_in, self.pending_out)

    @property
    def available(self) -> int:
        """What can be spent: the balance less what is promised. What is pending to come in does
        not count until it is captured."""
        return self.balance - self.pending_out

    @property
    def has_activity(self) -> bool:
        """Whether anything was ever posted, or is pending."""
        return bool(self.sequence or self.pending_in or self.pending_out)

    @property
    def balance_bounds(self) -> tuple[int, int]:
        """The lowest and the highest balance this account may have, were nothing pending."""
        if self.allow_negative:
            return -MAX_WORLD_BALANCE, MAX_WORLD_BALANCE
        return 0, MAX_BALANCE if self.merchant_id else MAX_WORLD_BALANCE


def hash_account_identity(
    account_id: UUID, merchant_id: UUID | None, currency: str, *, allow_negative: bool
) -> bytes:
    """The head of an account without entries: SHA-256 over whose account it is, so that an
    account that changes hands breaks its chain."""
    owner = merchant_id.bytes if merchant_id else bytes(16)
    identity = account_id.bytes + owner + bytes([allow_negative]) + currency.encode()
    return hashlib.sha256(identity).digest()
