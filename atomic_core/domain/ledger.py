"""The double-entry ledger as a deterministic state machine.

`balance = credits - debits` for every account, so the balances of one currency sum to zero.
Each account's entries form a chain: gap-free sequence numbers, the balance after each entry,
and a hash over the entry and the hash before it.

Holds stand beside the entries: money promised from one account to another. A hold is no entry and
moves no balance, but no posting may spend what it promises, nor fill the room it needs.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# Fixed width, big endian, so that no two entries share an encoding and SQL can rebuild it:
# account, sequence, transaction and payment, amount, balance after, posted at in microseconds.
# The kind follows, as text, and a refund's own id.
_CANONICAL_ENTRY: Final = struct.Struct(">16sq32sqqq")


class TransactionKind(StrEnum):
    """What a ledger transaction stands for. A payment has at most one, charged or captured; so
    has each of its refunds."""

    PAYMENT = "payment"
    REFUND = "refund"


class Leg(NamedTuple):
    """One side of a posting: credits are positive, debits negative."""

    account_id: UUID
    amount: int


class Hold(NamedTuple):
    """Money promised: pending out of one account and into another, of the same currency.

    One for a payment that is authorized, one for a refund that is on its way.
    """

    payment_id: UUID
    refund_id: UUID | None
    debit_account_id: UUID
    credit_account_id: UUID
    amount: int


class Posting(NamedTuple):
    """What shall be posted: legs of one currency that sum to zero. Or what shall be promised or
    let go: then there may be no legs, and no ledger transaction comes of it."""

    transaction_id: UUID
    payment_id: UUID
    kind: TransactionKind
    legs: tuple[Leg, ...]
    refund_id: UUID | None = None
    released_hold: Hold | None = None
    """A live hold, let go before the legs are posted."""
    placed_hold: Hold | None = None
    """A new hold."""


class LedgerTransaction(NamedTuple):
    id: UUID
    payment_id: UUID
    kind: TransactionKind
    posted_at: datetime
    refund_id: UUID | None = None


class Entry(NamedTuple):
    """One leg as it stands in the books. Never edited, never deleted."""

    transaction_id: UUID
    account_id: UUID
    sequence: int
    amount: int
    balance_after: int
    hash: bytes


class PostedTransaction(NamedTuple):
    """A ledger transaction with its entries, as they stand in the books."""

    transaction: LedgerTransaction
    entries: Sequence[Entry]

    @property
    def id(self) -> UUID:
        return self.transaction.id

    @property
    def kind(self) -> TransactionKind:
        return self.transaction.kind

    @property
    def posted_at(self) -> datetime:
        return self.transaction.posted_at


class Refusal(StrEnum):
    """Why a posting was not accepted. A refused posting changes nothing."""

    ACCOUNT_NOT_FOUND = "account_not_found"
    CURRENCY_MISMATCH = "currency_mismatch"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    BALANCE_OVERFLOW = "balance_overflow"


@dataclass(frozen=True, slots=True)
class PostingResult:
    """The outcome of one batch: what to save, and which postings were refused."""

    transactions: Sequence[LedgerTransaction]
    entries: Sequence[Entry]
    accounts: Sequence[Account]
    refusals: Mapping[UUID, Refusal]
    """By transaction id."""
    released_holds: Sequence[Hold] = ()
    placed_holds: Sequence[Hold] = ()


@dataclass(slots=True)
class _AccountState:
    """An account while its batch is being posted. What is pending narrows its bounds."""

    account: Account
    id_bytes: bytes
    low: int
    high: int
    balance: int
    sequence: int
    head: bytes

    @classmethod
    def of(cls, account: Account) -> "_AccountState":
        low, high = account.balance_bounds
        return cls(
            account,
            account.id.bytes,
            low + account.pending_out,
            high - account.pending_in,
            account.balance,
            account.sequence,
            account.head,
        )

    def moved(self) -> Account:
        return replace(self.account, balance=self.balance, sequence=self.sequence, head=self.head)


def post(
    accounts: Mapping[UUID, Account], postings: Iterable[Posting], posted_at: datetime
) -> PostingResult:
    """Post a batch, in order; each posting sees the balances the ones before it left.

    Pure: the same accounts, postings and time give the same result, bit for bit. The caller
    holds the accounts locked and saves the result in the same transaction. Raises ValueError
    for legs that do not balance: no data from outside can cause that, only a bug.
    """
    tips = {id: _AccountState.of(account) for id, account in accounts.items()}
    micros = to_microseconds(posted_at)
    transactions: list[LedgerTransaction] = []
    entries: list[Entry] = []
    refusals: dict[UUID, Refusal] = {}
    released: list[Hold] = []
    placed: list[Hold] = []
    for posting in postings:
        id, payment_id, kind, legs, refund_id, releases, places = posting
        _check_legs(posting)
        if releases and (refusal := _release(tips, releases)):
            refusals[id] = refusal
            continue
        # Looked up once: hashing a UUID costs as much as the arithmetic of an entry.
        moves = [(tips[account_id], amount) for account_id, amount in legs if account_id in tips]
        refusal = _refusal(moves, len(legs)) or (_place(tips, places) if places else None)
        if refusal:
            refusals[id] = refusal
            if releases:
                _pend(tips, releases, releases.amount)
            continue
        if releases:
            released.append(releases)
        if places:
            placed.append(places)
        if not legs:
            continue
        transactions.append(LedgerTransaction(id, payment_id, kind, posted_at, refund_id))
        subject, tail = id.bytes + payment_id.bytes, _tail(kind, refund_id)
        for tip, amount in moves:
            entries.append(_append(tip, id, amount, subject, micros, tail))
    moved = [tip.moved() for tip in tips.values() if tip.sequence != tip.account.sequence]
    return PostingResult(transactions, entries, moved, refusals, released, placed)


def hash_entry(previous: bytes, entry: "Entry", transaction: "LedgerTransaction") -> bytes:
    """SHA-256 over the hash before it and the canonical entry. `entry.hash` is not read."""
    canonical = _CANONICAL_ENTRY.pack(
        entry.account_id.bytes,
        entry.sequence,
        transaction.id.bytes + transaction.payment_id.bytes,
        entry.amount,
        entry.balance_after,
        to_microseconds(transaction.posted_at),
    )
    tail = _tail(transaction.kind, transaction.refund_id)
    return hashlib.sha256(previous + canonical + tail).digest()


def _tail(kind: TransactionKind, refund_id: UUID | None) -> bytes:
    return kind.encode() + refund_id.bytes if refund_id else kind.encode()


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly; a float would lose the last digits."""
    return (at - _EPOCH) // _MICROSECOND


def _check_legs(posting: Posting) -> None:
    if not posting.legs and (posting.released_hold or posting.placed_hold):
        return
    if posting.legs and posting.placed_hold:
        raise ValueError(f"posting {posting.transaction_id} moves money and promises some")
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


def _refusal(moves: Sequence[tuple[_AccountState, int]], legs: int) -> Refusal | None:
    if len(moves) < legs:
        return Refusal.ACCOUNT_NOT_FOUND
    if not moves:
        return None
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


def _release(tips: Mapping[UUID, _AccountState], hold: Hold) -> Refusal | None:
    if hold.debit_account_id not in tips or hold.credit_account_id not in tips:
        return Refusal.ACCOUNT_NOT_FOUND
    _pend(tips, hold, -hold.amount)
    return None


def _place(tips: Mapping[UUID, _AccountState], hold: Hold) -> Refusal | None:
    """Promise what the one account has to spare and the other has room for."""
    if hold.amount < 1 or hold.debit_account_id == hold.credit_account_id:
        raise ValueError(f"the hold of payment {hold.payment_id} promises nothing")
    if hold.debit_account_id not in tips or hold.credit_account_id not in tips:
        return Refusal.ACCOUNT_NOT_FOUND
    moves = [
        (tips[hold.debit_account_id], -hold.amount),
        (tips[hold.credit_account_id], hold.amount),
    ]
    refusal = _refusal(moves, len(moves))
    if refusal is None:
        _pend(tips, hold, hold.amount)
    return refusal


def _pend(tips: Mapping[UUID, _AccountState], hold: Hold, amount: int) -> None:
    tips[hold.debit_account_id].low += amount
    tips[hold.credit_account_id].high -= amount


def _append(
    tip: _AccountState,
    transaction_id: UUID,
    amount: int,
    subject: bytes,
    posted_at_us: int,
    tail: bytes,
) -> Entry:
    """Move the tip by one entry. `subject` is the ids of the transaction and the payment."""
    tip.sequence += 1
    tip.balance += amount
    canonical = _CANONICAL_ENTRY.pack(
        tip.id_bytes, tip.sequence, subject, amount, tip.balance, posted_at_us
    )
    tip.head = hashlib.sha256(tip.head + canonical + tail).digest()
    return Entry(transaction_id, tip.account.id, tip.sequence, amount, tip.balance, tip.head)
