"""The double-entry ledger as a deterministic state machine.

`balance = credits - debits` for every account, so the balances of one currency sum to zero.
Each account's entries form a chain: gap-free sequence numbers, the balance after each entry,
and a hash over the entry and the hash before it.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from atomic_core.domain.money import MAX_AMOUNT

MAX_BALANCE: Final = MAX_AMOUNT
"""Ceiling of an account that may not go negative: its balance is shown in JSON."""

MAX_WORLD_BALANCE: Final = 2**63 - 1
"""Bound of an account that may go negative: PostgreSQL's bigint. A single merchant's ceiling
is a thousandth of it, so no merchant can fill the World account and stop the others."""

_WORLD_NAMESPACE: Final = UUID("6f3a1d52-8f0e-5b7c-9d27-5a1c0e4b7d10")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# Fixed width, big endian, so that no two entries share an encoding and SQL can rebuild it:
# account, sequence, transaction, payment, amount, balance after, posted at in microseconds.
# The kind follows, as text.
_CANONICAL_ENTRY: Final = struct.Struct(">16sq16s16sqqq")


@cache
def world_account_id(currency: str) -> UUID:
    """The id of a currency's World account, the counterparty of all money from outside.

    Derived from the currency, so that two processes that open it at once mean the same row.
    """
    return uuid5(_WORLD_NAMESPACE, currency)


class Kind(StrEnum):
    """What a ledger transaction stands for. One payment has at most one of each kind."""

    PAYMENT = "payment"


@dataclass(frozen=True, slots=True)
class Account:
    """One account and the tip of its chain. Amounts in minor units of its currency."""

    id: UUID
    merchant_id: UUID | None
    name: str
    currency: str
    allow_negative: bool
    balance: int
    sequence: int
    head: bytes
    created_at: datetime

    @classmethod
    def opened(
        cls, id: UUID, merchant_id: UUID, name: str, currency: str, created_at: datetime
    ) -> "Account":
        return cls._at_zero(id, merchant_id, name, currency, created_at, allow_negative=False)

    @classmethod
    def world(cls, currency: str, created_at: datetime) -> "Account":
        """The outside world in one currency: negative by as much as merchants are owed."""
        id = world_account_id(currency)
        name = f"World {currency}"
        return cls._at_zero(id, None, name, currency, created_at, allow_negative=True)

    @classmethod
    def _at_zero(
        cls,
        id: UUID,
        merchant_id: UUID | None,
        name: str,
        currency: str,
        created_at: datetime,
        *,
        allow_negative: bool,
    ) -> "Account":
        return cls(
            id=id,
            merchant_id=merchant_id,
            name=name,
            currency=currency,
            allow_negative=allow_negative,
            balance=0,
            sequence=0,
            head=chain_start(id, merchant_id, currency, allow_negative=allow_negative),
            created_at=created_at,
        )

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest balance this account may have."""
        if self.allow_negative:
            return -MAX_WORLD_BALANCE, MAX_WORLD_BALANCE
        return 0, MAX_BALANCE


class Leg(NamedTuple):
    """One side of a posting: credits are positive, debits negative."""

    account_id: UUID
    amount: int


class Posting(NamedTuple):
    """What shall be posted: legs of one currency that sum to zero."""

    transaction_id: UUID
    payment_id: UUID
    kind: Kind
    legs: tuple[Leg, ...]


class LedgerTransaction(NamedTuple):
    id: UUID
    payment_id: UUID
    kind: Kind
    posted_at: datetime


class Entry(NamedTuple):
    """One leg as it stands in the books. Never edited, never deleted."""

    transaction_id: UUID
    account_id: UUID
    sequence: int
    amount: int
    balance_after: int
    hash: bytes


class Refusal(StrEnum):
    """Why a posting was not accepted. A refused posting changes nothing."""

    ACCOUNT_NOT_FOUND = "account_not_found"
    CURRENCY_MISMATCH = "currency_mismatch"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    BALANCE_OVERFLOW = "balance_overflow"


@dataclass(frozen=True, slots=True)
class Posted:
    """The outcome of one batch: what to save, and which postings were refused."""

    transactions: Sequence[LedgerTransaction]
    entries: Sequence[Entry]
    accounts: Sequence[Account]
    refusals: Mapping[UUID, Refusal]
    """By transaction id."""


@dataclass(slots=True)
class _Tip:
    """An account while its batch is being posted."""

    account: Account
    low: int
    high: int
    balance: int
    sequence: int
    head: bytes


def post(
    accounts: Mapping[UUID, Account], postings: Iterable[Posting], posted_at: datetime
) -> Posted:
    """Post a batch, in order; each posting sees the balances the ones before it left.

    Pure: the same accounts, postings and time give the same result, bit for bit. The caller
    holds the accounts locked and saves the result in the same transaction. Raises ValueError
    for legs that do not balance: no data from outside can cause that, only a bug.
    """
    tips = {
        id: _Tip(account, *account.bounds, account.balance, account.sequence, account.head)
        for id, account in accounts.items()
    }
    micros = microseconds(posted_at)
    transactions: list[LedgerTransaction] = []
    entries: list[Entry] = []
    refusals: dict[UUID, Refusal] = {}
    touched: dict[UUID, _Tip] = {}
    for posting in postings:
        _check_legs(posting)
        if refusal := _refusal(tips, posting):
            refusals[posting.transaction_id] = refusal
            continue
        transactions.append(
            LedgerTransaction(posting.transaction_id, posting.payment_id, posting.kind, posted_at)
        )
        for account_id, amount in posting.legs:
            tip = touched[account_id] = tips[account_id]
            entries.append(_append(tip, transactions[-1], amount, micros))
    return Posted(
        transactions,
        entries,
        [
            replace(tip.account, balance=tip.balance, sequence=tip.sequence, head=tip.head)
            for tip in touched.values()
        ],
        refusals,
    )


def chain_start(
    account_id: UUID, merchant_id: UUID | None, currency: str, *, allow_negative: bool
) -> bytes:
    """The head of an account without entries: SHA-256 over whose account it is, so that an
    account that changes hands breaks its chain."""
    owner = merchant_id.bytes if merchant_id else bytes(16)
    identity = account_id.bytes + owner + bytes([allow_negative]) + currency.encode()
    return hashlib.sha256(identity).digest()


def entry_hash(previous: bytes, entry: "Entry", transaction: "LedgerTransaction") -> bytes:
    """SHA-256 over the hash before it and the canonical entry. `entry.hash` is not read."""
    return _entry_hash(
        previous,
        entry.account_id,
        entry.sequence,
        entry.amount,
        entry.balance_after,
        transaction,
        microseconds(transaction.posted_at),
    )


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly; a float would lose the last digits."""
    return (at - _EPOCH) // _MICROSECOND


def _check_legs(posting: Posting) -> None:
    legs = posting.legs
    if sum(leg.amount for leg in legs) != 0:
        raise ValueError(f"posting {posting.transaction_id} does not balance")
    if not all(leg.amount for leg in legs) or len({leg.account_id for leg in legs}) != len(legs):
        raise ValueError(f"posting {posting.transaction_id} has an empty or a repeated leg")
    if len(legs) < 2:
        raise ValueError(f"posting {posting.transaction_id} has fewer than two legs")


def _refusal(tips: Mapping[UUID, _Tip], posting: Posting) -> Refusal | None:
    currency: str | None = None
    for account_id, amount in posting.legs:
        tip = tips.get(account_id)
        if tip is None:
            return Refusal.ACCOUNT_NOT_FOUND
        if currency is not None and tip.account.currency != currency:
            return Refusal.CURRENCY_MISMATCH
        currency = tip.account.currency
        if tip.balance + amount < tip.low:
            overdrawn = not tip.account.allow_negative
            return Refusal.INSUFFICIENT_BALANCE if overdrawn else Refusal.BALANCE_OVERFLOW
        if tip.balance + amount > tip.high:
            return Refusal.BALANCE_OVERFLOW
    return None


def _append(tip: _Tip, transaction: LedgerTransaction, amount: int, posted_at_us: int) -> Entry:
    account_id = tip.account.id
    tip.sequence += 1
    tip.balance += amount
    tip.head = _entry_hash(
        tip.head, account_id, tip.sequence, amount, tip.balance, transaction, posted_at_us
    )
    return Entry(transaction.id, account_id, tip.sequence, amount, tip.balance, tip.head)


def _entry_hash(
    previous: bytes,
    account_id: UUID,
    sequence: int,
    amount: int,
    balance_after: int,
    transaction: LedgerTransaction,
    posted_at_us: int,
) -> bytes:
    canonical = _CANONICAL_ENTRY.pack(
        account_id.bytes,
        sequence,
        transaction.id.bytes,
        transaction.payment_id.bytes,
        amount,
        balance_after,
        posted_at_us,
    )
    return hashlib.sha256(previous + canonical + transaction.kind.encode()).digest()
