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
# account, sequence, transaction and payment, amount, balance after, posted at in microseconds.
# The kind follows, as text.
_CANONICAL_ENTRY: Final = struct.Struct(">16sq32sqqq")


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
    id_bytes: bytes
    low: int
    high: int
    balance: int
    sequence: int
    head: bytes

    @classmethod
    def of(cls, account: Account) -> "_Tip":
        low, high = account.bounds
        id_bytes = account.id.bytes
        return cls(account, id_bytes, low, high, account.balance, account.sequence, account.head)

    def moved(self) -> Account:
        return replace(self.account, balance=self.balance, sequence=self.sequence, head=self.head)


def post(
    accounts: Mapping[UUID, Account], postings: Iterable[Posting], posted_at: datetime
) -> Posted:
    """Post a batch, in order; each posting sees the balances the ones before it left.

    Pure: the same accounts, postings and time give the same result, bit for bit. The caller
    holds the accounts locked and saves the result in the same transaction. Raises ValueError
    for legs that do not balance: no data from outside can cause that, only a bug.
    """
    tips = {id: _Tip.of(account) for id, account in accounts.items()}
    micros = microseconds(posted_at)
    transactions: list[LedgerTransaction] = []
    entries: list[Entry] = []
    refusals: dict[UUID, Refusal] = {}
    for posting in postings:
        id, payment_id, kind, legs = posting
        _check_legs(posting)
        # Looked up once: hashing a UUID costs as much as the arithmetic of an entry.
        moves = [(tips[account_id], amount) for account_id, amount in legs if account_id in tips]
        if refusal := _refusal(moves, len(legs)):
            refusals[id] = refusal
            continue
        transactions.append(LedgerTransaction(id, payment_id, kind, posted_at))
        subject, kind_bytes = id.bytes + payment_id.bytes, kind.encode()
        for tip, amount in moves:
            entries.append(_append(tip, id, amount, subject, micros, kind_bytes))
    moved = [tip.moved() for tip in tips.values() if tip.sequence != tip.account.sequence]
    return Posted(transactions, entries, moved, refusals)


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
    canonical = _CANONICAL_ENTRY.pack(
        entry.account_id.bytes,
        entry.sequence,
        transaction.id.bytes + transaction.payment_id.bytes,
        entry.amount,
        entry.balance_after,
        microseconds(transaction.posted_at),
    )
    return hashlib.sha256(previous + canonical + transaction.kind.encode()).digest()


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly; a float would lose the last digits."""
    return (at - _EPOCH) // _MICROSECOND


def _check_legs(posting: Posting) -> None:
    total = 0
    for _, amount in posting.legs:
        if amount == 0:
            raise ValueError(f"posting {posting.transaction_id} has an empty leg")
        total += amount
    if total != 0:
        raise ValueError(f"posting {posting.transaction_id} does not balance")
    if len(posting.legs) < 2:
        raise ValueError(f"posting {posting.transaction_id} has fewer than two legs")
    if len({account_id for account_id, _ in posting.legs}) != len(posting.legs):
        raise ValueError(f"posting {posting.transaction_id} has a repeated leg")


def _refusal(moves: Sequence[tuple[_Tip, int]], legs: int) -> Refusal | None:
    if len(moves) < legs:
        return Refusal.ACCOUNT_NOT_FOUND
    currency = moves[0][0].account.currency
    for tip, amount in moves:
        if tip.account.currency != currency:
            return Refusal.CURRENCY_MISMATCH
        after = tip.balance + amount
        if after < tip.low:
            overdrawn = not tip.account.allow_negative
            return Refusal.INSUFFICIENT_BALANCE if overdrawn else Refusal.BALANCE_OVERFLOW
        if after > tip.high:
            return Refusal.BALANCE_OVERFLOW
    return None


def _append(
    tip: _Tip, transaction_id: UUID, amount: int, subject: bytes, posted_at_us: int, kind: bytes
) -> Entry:
    """Move the tip by one entry. `subject` is the ids of the transaction and the payment."""
    tip.sequence += 1
    tip.balance += amount
    canonical = _CANONICAL_ENTRY.pack(
        tip.id_bytes, tip.sequence, subject, amount, tip.balance, posted_at_us
    )
    tip.head = hashlib.sha256(tip.head + canonical + kind).digest()
    return Entry(transaction_id, tip.account.id, tip.sequence, amount, tip.balance, tip.head)
