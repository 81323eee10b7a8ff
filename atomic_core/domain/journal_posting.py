"""Posting journal transactions, as a deterministic state machine like `posting.py`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.ledger import (
    Entry,
    LedgerTransaction,
    TransactionKind,
    encode_kind,
    encode_time,
    to_microseconds,
)
from atomic_core.domain.posting import (
    AccountState,
    Leg,
    PostingResult,
    Refusal,
    append_entry,
    find_posting_time,
    get_upper_refusal,
)


class JournalPosting(NamedTuple):
    """Entries to post or to reserve. Each account occurs once, and the entries of each currency sum
    to zero."""

    transaction_id: UUID
    legs: tuple[Leg, ...]
    effective_at: datetime | None = None
    """None: when it is posted."""
    released_legs: tuple[Leg, ...] = ()
    """What the transaction has reserved. Released first, so that its entries can use it."""
    is_pending: bool = False
    """Whether to reserve the entries. Accepted if posting them would be."""


class EntryRefusal(NamedTuple):
    """Why a transaction was refused. It then changes nothing."""

    entry_index: int
    """Of the first entry that its account does not allow."""
    reason: Refusal


class JournalResult(NamedTuple):
    """The outcome of a batch: the rows to save, and the refused transactions by id."""

    posted: PostingResult
    posted_at: datetime
    refusals: Mapping[UUID, EntryRefusal]

    def get_entries(self) -> Mapping[UUID, Sequence[Entry]]:
        """The entries of each posted transaction, in the order of its legs."""
        entries: dict[UUID, list[Entry]] = {}
        for entry in self.posted.entries:
            entries.setdefault(entry.transaction_id, []).append(entry)
        return entries


def post_journal(
    accounts: Mapping[UUID, Account], postings: Iterable[JournalPosting], now: datetime
) -> JournalResult:
    """Post a batch in order, as `posting.post` does, and at one time. A transaction may have
    several currencies, each of which balances.

    Pure, as `post`. The caller must have locked the accounts. Raises ValueError for a malformed
    posting and KeyError for an unknown account: `journal.check_accounts` refuses them before.
    """
    states = {id: AccountState.from_account(account) for id, account in accounts.items()}
    posted_at = find_posting_time(accounts, now)
    posted_at_us = to_microseconds(posted_at)
    transactions: list[LedgerTransaction] = []
    entries: list[Entry] = []
    refusals: dict[UUID, EntryRefusal] = {}
    for id, legs, requested_effective_at, released_legs, is_pending in postings:
        moves = [(states[account_id], amount) for account_id, amount in legs]
        _check_balanced(id, moves)
        released = [(states[account_id], amount) for account_id, amount in released_legs]
        _release(released)
        refusal = _find_refusal(moves, released_legs)
        if refusal:
            refusals[id] = refusal
            _reserve(released)
            continue
        if is_pending:
            _reserve(moves)
            continue
        effective_at = requested_effective_at or posted_at
        kind = TransactionKind.JOURNAL
        transactions.append(LedgerTransaction(id, id, kind, posted_at, None, effective_at))
        suffix = encode_kind(kind, None) + encode_time(effective_at)
        subject = id.bytes + id.bytes
        entries += [
            append_entry(state, id, amount, subject, posted_at_us, suffix)
            for state, amount in moves
        ]
    changed_accounts = [
        state.to_account(posted_at)
        for state in states.values()
        if state.sequence != state.account.sequence
    ]
    posted = PostingResult(transactions, entries, changed_accounts, {})
    return JournalResult(posted, posted_at, refusals)


def _check_balanced(id: UUID, moves: Sequence[tuple[AccountState, int]]) -> None:
    sums: dict[str, int] = {}
    for state, amount in moves:
        if amount == 0:
            raise ValueError(f"transaction {id} has an empty entry")
        currency = state.account.currency
        sums[currency] = sums.get(currency, 0) + amount
    if any(sums.values()):
        raise ValueError(f"transaction {id} does not balance")
    if len({state.id_bytes for state, _ in moves}) != len(moves) or len(moves) < 2:
        raise ValueError(f"transaction {id} repeats an account or has fewer than two entries")


def _reserve(moves: Sequence[tuple[AccountState, int]]) -> None:
    """A debit narrows the lower bound of its account, a credit the upper one."""
    for state, amount in moves:
        state.min_balance += max(-amount, 0)
        state.max_balance -= max(amount, 0)


def _release(moves: Sequence[tuple[AccountState, int]]) -> None:
    for state, amount in moves:
        state.min_balance -= max(-amount, 0)
        state.max_balance += max(amount, 0)


def _find_refusal(
    moves: Sequence[tuple[AccountState, int]], released_legs: Sequence[Leg]
) -> EntryRefusal | None:
    for index, (state, amount) in enumerate(moves):
        if state.status_refusal:
            return EntryRefusal(index, state.status_refusal)
        balance_after = state.balance + amount
        # A dispute may have taken the account below its lower bound. A credit may leave it there,
        # and a debit of what was reserved. The same for its upper bound, and a dispute's reversal.
        if (
            balance_after < state.min_balance
            and amount < 0
            and amount < _get_reserved(state, released_legs)
        ):
            return EntryRefusal(index, Refusal.INSUFFICIENT_BALANCE)
        if (
            balance_after > state.max_balance
            and amount > 0
            and amount > _get_reserved(state, released_legs)
        ):
            return EntryRefusal(index, get_upper_refusal(state.account))
    return None


def _get_reserved(state: AccountState, released_legs: Sequence[Leg]) -> int:
    """The entry of the account that the transaction had reserved; 0 without one. Entries to post
    have its sign."""
    reserved = (amount for id, amount in released_legs if id == state.account.id)
    return sum(reserved)
