"""Posting to the ledger, as a deterministic state machine: accounts and postings in; entries, new
balances, holds and refusals out."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import MAX_BALANCE, Account, AccountStatus
from atomic_core.domain.ledger import (
    CANONICAL_ENTRY,
    Entry,
    Hold,
    LedgerTransaction,
    TransactionKind,
    encode_kind,
    to_microseconds,
)


class Leg(NamedTuple):
    """One side of a posting. Credits are positive, debits negative."""

    account_id: UUID
    amount: int


class Posting(NamedTuple):
    """A request to post legs of one currency that sum to zero, to release a hold or to place one.

    Without legs no ledger transaction is written. A posting with legs cannot place a hold.
    """

    transaction_id: UUID
    payment_id: UUID
    """Of the kinds of disputes: the dispute's."""
    kind: TransactionKind
    legs: tuple[Leg, ...]
    refund_id: UUID | None = None
    released_hold: Hold | None = None
    """Must be live. Released before the legs are posted, which can then use its amount."""
    placed_hold: Hold | None = None


class Refusal(StrEnum):
    """Why a posting was refused. A refused posting changes nothing."""

    ACCOUNT_NOT_FOUND = "account_not_found"
    CURRENCY_MISMATCH = "currency_mismatch"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    BALANCE_OVERFLOW = "balance_overflow"
    """Above what every account can have."""
    BALANCE_LIMIT_EXCEEDED = "balance_limit_exceeded"
    """Above the account's own `max_balance`."""
    ACCOUNT_FROZEN = "account_frozen"
    ACCOUNT_CLOSED = "account_closed"


_STATUS_REFUSALS: Final = {
    AccountStatus.OPEN: None,
    AccountStatus.FROZEN: Refusal.ACCOUNT_FROZEN,
    AccountStatus.CLOSED: Refusal.ACCOUNT_CLOSED,
}

_DISPUTE_KINDS: Final = (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL)
"""What the card network has moved already, whatever the account's status and limits are."""


@dataclass(frozen=True, slots=True)
class PostingResult:
    """The outcome of a batch: the rows to save, and the refused postings."""

    transactions: Sequence[LedgerTransaction]
    entries: Sequence[Entry]
    accounts: Sequence[Account]
    """Those whose balance changed."""
    refusals: Mapping[UUID, Refusal]
    """By transaction id."""
    released_holds: Sequence[Hold] = ()
    placed_holds: Sequence[Hold] = ()


@dataclass(slots=True)
class AccountState:
    """An account while a batch is posted. Pending amounts narrow its bounds."""

    account: Account
    id_bytes: bytes
    min_balance: int
    max_balance: int
    balance: int
    sequence: int
    head: bytes
    status_refusal: Refusal | None = None
    """Why nothing new may be posted or reserved; None for an account that is OPEN."""

    @classmethod
    def from_account(cls, account: Account) -> "AccountState":
        min_balance, max_balance = account.balance_bounds
        return cls(
            account,
            account.id.bytes,
            min_balance + account.pending_out,
            max_balance - account.pending_in,
            account.balance,
            account.sequence,
            account.head,
            _STATUS_REFUSALS[account.status],
        )

    def to_account(self, posted_at: datetime) -> Account:
        return replace(
            self.account,
            balance=self.balance,
            sequence=self.sequence,
            head=self.head,
            last_posted_at=posted_at,
        )


_States = Mapping[int, AccountState]
"""By account id as a number, which takes less to hash."""


def post(
    accounts: Mapping[UUID, Account], postings: Iterable[Posting], now: datetime
) -> PostingResult:
    """Post a batch in order: each posting sees the balances that the previous ones left.

    The whole batch is posted at one time: `now`, or the latest time of an entry of `accounts` if a
    clock was set back since. So an account's entries are always in order of time, which lists by
    time rely on.

    Pure: equal accounts, postings and times give equal results. The caller must have locked the
    accounts, and must save the result in the same transaction. Raises ValueError for a malformed
    posting, such as legs that do not balance: only a bug builds one.
    """
    states = {id.int: AccountState.from_account(account) for id, account in accounts.items()}
    posted_at = find_posting_time(accounts, now)
    posted_at_us = to_microseconds(posted_at)
    transactions: list[LedgerTransaction] = []
    entries: list[Entry] = []
    refusals: dict[UUID, Refusal] = {}
    released_holds: list[Hold] = []
    placed_holds: list[Hold] = []
    for posting in postings:
        id, payment_id, kind, legs, refund_id, released_hold, placed_hold = posting
        _check_posting(posting)
        if released_hold and (refusal := _release_hold(states, released_hold)):
            refusals[id] = refusal
            continue
        moves = [
            (state, amount)
            for account_id, amount in legs
            if (state := states.get(account_id.int)) is not None
        ]
        refusal = _find_refusal(moves, len(legs), kind, released_hold) or (
            _place_hold(states, placed_hold) if placed_hold else None
        )
        if refusal:
            refusals[id] = refusal
            if released_hold:
                _apply_pending(states, released_hold, released_hold.amount)
            continue
        if released_hold:
            released_holds.append(released_hold)
        if placed_hold:
            placed_holds.append(placed_hold)
        if not legs:
            continue
        transactions.append(LedgerTransaction(id, payment_id, kind, posted_at, refund_id))
        # Equals their `bytes`, without the cost of the property calls.
        subject = id.int.to_bytes(16, "big") + payment_id.int.to_bytes(16, "big")
        suffix = encode_kind(kind, refund_id)
        for state, amount in moves:
            entries.append(append_entry(state, id, amount, subject, posted_at_us, suffix))
    changed_accounts = [
        state.to_account(posted_at)
        for state in states.values()
        if state.sequence != state.account.sequence
    ]
    return PostingResult(
        transactions, entries, changed_accounts, refusals, released_holds, placed_holds
    )


def find_posting_time(accounts: Mapping[UUID, Account], now: datetime) -> datetime:
    last_times = (account.last_posted_at for account in accounts.values())
    return max((at for at in last_times if at is not None and at > now), default=now)


def _check_posting(posting: Posting) -> None:
    if not posting.legs and (posting.released_hold or posting.placed_hold):
        return
    if posting.legs and posting.placed_hold:
        raise ValueError(f"posting {posting.transaction_id} has legs and places a hold")
    total = 0
    for _, amount in posting.legs:
        if amount == 0:
            raise ValueError(f"posting {posting.transaction_id} has an empty leg")
        total += amount
    if total != 0:
        raise ValueError(f"posting {posting.transaction_id} does not balance")
    if len(posting.legs) < 2:
        raise ValueError(f"posting {posting.transaction_id} has fewer than two legs")
    if len({account_id.int for account_id, _ in posting.legs}) != len(posting.legs):
        raise ValueError(f"posting {posting.transaction_id} has a repeated leg")


def _find_refusal(
    moves: Sequence[tuple[AccountState, int]],
    expected_moves: int,
    kind: TransactionKind,
    released_hold: Hold | None = None,
) -> Refusal | None:
    if len(moves) < expected_moves:
        return Refusal.ACCOUNT_NOT_FOUND
    if not moves:
        return None
    currency = moves[0][0].account.currency
    for state, amount in moves:
        if state.account.currency != currency:
            return Refusal.CURRENCY_MISMATCH
        # What a hold has reserved is at the network already: the hold is older than the freeze.
        if state.status_refusal and not (released_hold or kind in _DISPUTE_KINDS):
            return state.status_refusal
        balance_after = state.balance + amount
        if balance_after < state.min_balance:
            if state.account.allow_negative:
                return Refusal.BALANCE_OVERFLOW
            if not may_overdraw(state, amount, kind, released_hold):
                return Refusal.INSUFFICIENT_BALANCE
        if balance_after > state.max_balance and not may_overfill(
            state, amount, kind, released_hold
        ):
            return get_upper_refusal(state.account)
    return None


def get_upper_refusal(account: Account) -> Refusal:
    """Why an account cannot have more."""
    has_limit = account.max_balance is not None
    return Refusal.BALANCE_LIMIT_EXCEEDED if has_limit else Refusal.BALANCE_OVERFLOW


def may_overdraw(
    state: AccountState, amount: int, kind: TransactionKind, released_hold: Hold | None
) -> bool:
    """Whether an account may be below its lower bound after this leg. A dispute may take it there:
    the network has withdrawn the money already. Any other leg may leave it there that does not
    make less of it available: a credit, or a debit of what a hold has reserved."""
    if kind is TransactionKind.DISPUTE:
        return state.balance + amount >= -MAX_BALANCE
    is_reserved = released_hold is not None and released_hold.debit_account_id == state.account.id
    return amount + (released_hold.amount if released_hold and is_reserved else 0) >= 0


def may_overfill(
    state: AccountState, amount: int, kind: TransactionKind, released_hold: Hold | None
) -> bool:
    """The same for its upper bound: the reversal of a dispute returns money that the network has
    returned already. No balance exceeds MAX_BALANCE, pending amounts included."""
    account = state.account
    if account.merchant_id is None:
        return False
    if kind is TransactionKind.DISPUTE_REVERSAL:
        _, high = account.balance_bounds
        return state.balance + amount <= state.max_balance + MAX_BALANCE - high
    is_reserved = released_hold is not None and released_hold.credit_account_id == account.id
    return amount - (released_hold.amount if released_hold and is_reserved else 0) <= 0


def _release_hold(states: _States, hold: Hold) -> Refusal | None:
    if hold.debit_account_id.int not in states or hold.credit_account_id.int not in states:
        return Refusal.ACCOUNT_NOT_FOUND
    _apply_pending(states, hold, -hold.amount)
    return None


def _place_hold(states: _States, hold: Hold) -> Refusal | None:
    """Refused unless a posting of the same amount would be accepted."""
    if hold.amount < 1 or hold.debit_account_id == hold.credit_account_id:
        raise ValueError(f"the hold of payment {hold.payment_id} reserves nothing")
    if hold.debit_account_id.int not in states or hold.credit_account_id.int not in states:
        return Refusal.ACCOUNT_NOT_FOUND
    moves = [
        (states[hold.debit_account_id.int], -hold.amount),
        (states[hold.credit_account_id.int], hold.amount),
    ]
    refusal = _find_refusal(moves, len(moves), TransactionKind.PAYMENT)
    if refusal is None:
        _apply_pending(states, hold, hold.amount)
    return refusal


def _apply_pending(states: _States, hold: Hold, amount: int) -> None:
    states[hold.debit_account_id.int].min_balance += amount
    states[hold.credit_account_id.int].max_balance -= amount


def append_entry(
    state: AccountState,
    transaction_id: UUID,
    amount: int,
    subject: bytes,
    posted_at_us: int,
    suffix: bytes,
) -> Entry:
    """Advance the account by one entry. `subject` is the ids of the transaction and the payment.

    The hash is that of `hash_entry`, computed from parts that the caller encodes once per posting.
    """
    state.sequence += 1
    state.balance += amount
    canonical = CANONICAL_ENTRY.pack(
        state.id_bytes, state.sequence, subject, amount, state.balance, posted_at_us
    )
    state.head = hashlib.sha256(state.head + canonical + suffix).digest()
    return Entry(
        transaction_id, state.account.id, state.sequence, amount, state.balance, state.head
    )
