"""The records of the double-entry ledger, and the hash chain of an account's entries.

`balance = credits - debits` for every account, so the balances of one currency sum to zero.
Each account's entries form a chain: gap-free sequence numbers, the balance after each entry, and
a hash over the entry and the previous hash. `posting.py` appends to it.
"""

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

CANONICAL_ENTRY: Final = struct.Struct(">16sq32sqqq")
"""Account id, sequence, transaction id and payment id, amount, balance after, posted at in
microseconds. Big endian with a fixed width, so that no two entries have the same encoding and SQL
can rebuild it. The suffix of `encode_kind` follows, and for the kind `journal` that of
`encode_time`."""


class TransactionKind(StrEnum):
    """What a ledger transaction stands for. A payment has at most one transaction of its own, and
    each of its refunds has at most one."""

    PAYMENT = "payment"
    REFUND = "refund"
    JOURNAL = "journal"
    """Posted by a merchant between its own accounts (`domain/journal.py`)."""
    DISPUTE = "dispute"
    """Withdrawn by a card network (`domain/disputes.py`)."""
    DISPUTE_REVERSAL = "dispute_reversal"
    """Returned by the network when the dispute was won."""


class Hold(NamedTuple):
    """A pending amount out of one account and into another of the same currency.

    An authorized payment has one; a refund has one from its reservation until its end. A hold is
    not an entry and changes no balance, but postings can neither spend the amount it reserves in
    the one account nor fill the room it reserves in the other.
    """

    payment_id: UUID
    refund_id: UUID | None
    debit_account_id: UUID
    credit_account_id: UUID
    amount: int


class LedgerTransaction(NamedTuple):
    id: UUID
    payment_id: UUID
    """Of the kind `journal`: its own id. Of the kinds of disputes: the dispute's."""
    kind: TransactionKind
    posted_at: datetime
    refund_id: UUID | None = None
    effective_at: datetime | None = None
    """Of the kind `journal` only."""


class Entry(NamedTuple):
    """One leg of a ledger transaction. Append-only: never updated, never deleted."""

    transaction_id: UUID
    account_id: UUID
    sequence: int
    amount: int
    balance_after: int
    hash: bytes


class PostedTransaction(NamedTuple):
    """A ledger transaction with its entries."""

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


def hash_entry(previous_hash: bytes, entry: Entry, transaction: LedgerTransaction) -> bytes:
    """SHA-256 over the previous hash and the canonical entry. Does not read `entry.hash`."""
    canonical = CANONICAL_ENTRY.pack(
        entry.account_id.bytes,
        entry.sequence,
        transaction.id.bytes + transaction.payment_id.bytes,
        entry.amount,
        entry.balance_after,
        to_microseconds(transaction.posted_at),
    )
    suffix = encode_kind(transaction.kind, transaction.refund_id)
    if transaction.effective_at is not None:
        suffix += encode_time(transaction.effective_at)
    return hashlib.sha256(previous_hash + canonical + suffix).digest()


def encode_kind(kind: TransactionKind, refund_id: UUID | None) -> bytes:
    """The end of a canonical entry: the kind as text, and a refund's id."""
    return kind.encode() + refund_id.bytes if refund_id else kind.encode()


def encode_time(moment: datetime) -> bytes:
    """The end of a canonical entry of a journal transaction, after its kind: the effective time."""
    return to_microseconds(moment).to_bytes(8, "big", signed=True)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly: a float would lose the last digits."""
    return (moment - _EPOCH) // _MICROSECOND
