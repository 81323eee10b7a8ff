"""Journal transactions: ledger transactions that a merchant posts between its own accounts.

World and the fee account take no part in them, so they move no money in or out of the gateway.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import NotFound, TransactionRefused, ValidationFailed
from atomic_core.domain.journal_posting import EntryRefusal
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.origins import Origin
from atomic_core.domain.posting import Leg
from atomic_core.domain.timestamps import format_rfc3339

MIN_ENTRIES: Final = 2
MAX_ENTRIES: Final = 100
"""Entries of one transaction. Bounds the accounts that it locks."""

DEFAULT_PENDING_PERIOD: Final = timedelta(days=7)
"""How long a pending transaction reserves its entries, unless it says otherwise."""

MAX_PENDING_PERIOD: Final = timedelta(days=90)
"""Money that is reserved by mistake becomes available again in the end."""


class JournalStatus(StrEnum):
    PENDING = "PENDING"
    """Its entries are reserved. The other statuses are final."""
    POSTED = "POSTED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class NewJournalTransaction:
    """A request to post entries. Credits are positive, debits negative, in minor units."""

    merchant_id: UUID
    entries: tuple[Leg, ...]
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None
    """The merchant's own id, unique among its transactions."""
    effective_at: datetime | None = None
    """When it takes effect for the merchant's books, in the past or the future. None: when it is
    posted."""
    idempotency_key: str | None = None
    origin: Origin | None = None
    is_pending: bool = False
    """Whether to reserve the entries instead of posting them."""
    expires_at: datetime | None = None
    """Of a pending transaction. None: after DEFAULT_PENDING_PERIOD."""


class JournalEntry(NamedTuple):
    account_id: UUID
    currency: str
    amount: int
    """As requested: that of a PENDING transaction is reserved."""
    sequence: int | None
    """None without a posted amount, as `balance_after`."""
    balance_after: int | None
    posted_amount: int
    """0 unless the transaction is POSTED. At most the requested amount, with the same sign."""


@dataclass(frozen=True, slots=True)
class JournalTransaction:
    id: UUID
    merchant_id: UUID
    status: JournalStatus
    entries: Sequence[JournalEntry]
    """In the order of the request."""
    description: str | None
    metadata: Mapping[str, str]
    external_id: str | None
    effective_at: datetime | None
    """None: when it is posted, and it is not."""
    created_at: datetime
    posted_at: datetime | None
    reverses_id: UUID | None = None
    """The transaction whose entries it negates."""
    reversed_by_id: UUID | None = None
    """The transaction that negates its entries."""
    idempotency_key: str | None = None
    origin: Origin | None = None
    expires_at: datetime | None = None
    """None if it was posted at once."""
    resolved_at: datetime | None = None
    """When it ceased to be PENDING. None if it never was, or still is."""


def check_entries(entries: Sequence[Leg]) -> None:
    """Raises ValidationFailed for entries that are wrong whatever the accounts are."""
    errors: dict[str, list[str]] = {}
    if not MIN_ENTRIES <= len(entries) <= MAX_ENTRIES:
        errors["entries"] = [f"Must have {MIN_ENTRIES} to {MAX_ENTRIES} entries."]
    seen: set[UUID] = set()
    for index, (account_id, amount) in enumerate(entries):
        if type(amount) is not int or amount == 0 or abs(amount) > MAX_AMOUNT:
            errors[f"entries.{index}.amount"] = [
                f"Must be an integer from -{MAX_AMOUNT} to {MAX_AMOUNT}, and not 0."
            ]
        if account_id in seen:
            errors[f"entries.{index}.accountId"] = ["Must not repeat the account of another entry."]
        seen.add(account_id)
    if errors:
        raise ValidationFailed(details=errors)


def check_expiry(expires_at: datetime, now: datetime, *, is_pending: bool) -> None:
    """Raises ValidationFailed unless a pending transaction may end at this time."""
    problem = None
    if not is_pending:
        problem = "Is only for a pending transaction; send pending: true."
    elif not now < expires_at <= now + MAX_PENDING_PERIOD:
        problem = f"Must be in the future, by at most {MAX_PENDING_PERIOD.days} days."
    if problem:
        raise ValidationFailed(details={"expiresAt": [problem]})


def find_expiry(new_transaction: NewJournalTransaction, now: datetime) -> datetime | None:
    if not new_transaction.is_pending:
        return None
    return new_transaction.expires_at or now + DEFAULT_PENDING_PERIOD


def check_accounts(entries: Sequence[Leg], accounts: Mapping[UUID, Account]) -> None:
    """Raises NotFound for an account that is not in `accounts`, and ValidationFailed unless the
    entries of each currency sum to zero."""
    missing = {
        f"entries.{index}.accountId": ["No account has this id."]
        for index, (account_id, _) in enumerate(entries)
        if account_id not in accounts
    }
    if missing:
        raise NotFound("An entry names an account that does not exist.", details=missing)
    sums = Counter[str]()
    for account_id, amount in entries:
        sums[accounts[account_id].currency] += amount
    unbalanced = [
        f"The entries in {currency} sum to {total}, and must sum to 0."
        for currency, total in sorted(sums.items())
        if total
    ]
    if unbalanced:
        raise ValidationFailed(details={"entries": unbalanced})


def build_refusal_error(refusal: EntryRefusal) -> TransactionRefused:
    """The error that names the refused entry and the reason."""
    return TransactionRefused(details={f"entries.{refusal.entry_index}": [refusal.reason.value]})


def negate_entries(entries: Sequence[JournalEntry]) -> tuple[Leg, ...]:
    return tuple(
        Leg(entry.account_id, -entry.posted_amount) for entry in entries if entry.posted_amount
    )


def describe_transaction(transaction: JournalTransaction) -> dict[str, object]:
    """What an event says about a transaction, named as in the API."""
    return {
        "id": str(transaction.id),
        "status": str(transaction.status),
        "entries": [
            {
                "accountId": str(entry.account_id),
                "currency": entry.currency,
                "amount": entry.amount,
                "postedAmount": entry.posted_amount,
                "balanceAfter": entry.balance_after,
            }
            for entry in transaction.entries
        ],
        "description": transaction.description,
        "metadata": dict(transaction.metadata),
        "externalId": transaction.external_id,
        "effectiveAt": _format_time(transaction.effective_at),
        "expiresAt": _format_time(transaction.expires_at),
        "reversesId": str(transaction.reverses_id) if transaction.reverses_id else None,
    }


def _format_time(moment: datetime | None) -> str | None:
    return None if moment is None else format_rfc3339(moment)
