"""Balances as of a moment: of one account, per day, and of all accounts as a trial balance.

An entry has two times. It counts on the posted axis from `posted_at` of its ledger transaction, and
on the effective axis from the time at which it takes effect in the merchant's books. These differ
only for journal transactions with an `effectiveAt` of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account, PendingAmounts
from atomic_core.domain.errors import ValidationFailed

MAX_HISTORY_DAYS: Final = 366
"""Of one response."""

DEFAULT_HISTORY_DAYS: Final = 30

DAY: Final = timedelta(days=1)

MILLISECOND: Final = timedelta(milliseconds=1)
"""The precision of times in responses. A balance as of such a time has all entries of that
millisecond."""


class TimeAxis(StrEnum):
    POSTED = "posted"
    EFFECTIVE = "effective"


class BalanceQuery(NamedTuple):
    """A request for the balance of an account from the entries before a moment."""

    account_id: UUID
    before: datetime


class BalanceBefore(NamedTuple):
    """The sum of the entries of an account whose time is before a moment."""

    account_id: UUID
    before: datetime
    sequence: int
    """Of the last entry that was posted before the moment, on either axis; 0 without any."""
    balance: int


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """The balance of an account as of a moment, in minor units."""

    account: Account
    axis: TimeAxis
    at: datetime
    balance: int
    sequence: int | None
    """Of the last entry that it includes. None on the effective axis, which has another order."""
    pending: PendingAmounts | None
    """None as of a moment that was given: only the present pending amounts are known."""
    available: int | None


class DayBalance(NamedTuple):
    """The balance of an account at the end of a day (UTC)."""

    day: date
    balance: int
    change: int
    """From the balance of the day before."""


@dataclass(frozen=True, slots=True)
class BalanceHistory:
    account: Account
    axis: TimeAxis
    opening_balance: int
    """At the beginning of the first day."""
    days: Sequence[DayBalance]


class TrialBalanceRow(NamedTuple):
    """The accounts of one group and currency. Both sums are positive."""

    type: str
    """That of the accounts."""
    currency: str
    accounts: int
    debit: int
    """The sum of the balances below zero, negated: of accounts with more debits than credits."""
    credit: int
    """The sum of the balances above zero."""
    is_system: bool = False
    """Whether the accounts belong to no merchant: World or fees."""

    @property
    def balance(self) -> int:
        return self.credit - self.debit


class CurrencyTotal(NamedTuple):
    currency: str
    debit: int
    credit: int

    @property
    def difference(self) -> int:
        """Credits less debits: 0 if the accounts balance."""
        return self.credit - self.debit

    @property
    def is_balanced(self) -> bool:
        return self.difference == 0


@dataclass(frozen=True, slots=True)
class TrialBalance:
    axis: TimeAxis
    at: datetime
    rows: Sequence[TrialBalanceRow]
    """By currency, owner and type."""

    @property
    def totals(self) -> Sequence[CurrencyTotal]:
        return [
            CurrencyTotal(
                currency,
                sum(row.debit for row in self.rows if row.currency == currency),
                sum(row.credit for row in self.rows if row.currency == currency),
            )
            for currency in sorted({row.currency for row in self.rows})
        ]

    @property
    def is_balanced(self) -> bool:
        """Whether debits equal credits in each currency."""
        return all(total.is_balanced for total in self.totals)


class Snapshot(NamedTuple):
    """What an entry left as the balance of its account, and the day (UTC) on which it was posted.
    It stays true whatever is posted later, so that it can be taken without a lock."""

    account_id: UUID
    day: date
    sequence: int
    balance: int


class SnapshotProgress(NamedTuple):
    """How far the snapshots have come."""

    through: date | None
    """Each account has its snapshots up to this day."""
    after_id: UUID | None
    """The last account that has those of the following days. None: no account yet."""


def begin_day(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def end_day(day: date) -> datetime:
    """The first moment after the day."""
    return begin_day(day) + DAY


def include_moment(at: datetime) -> datetime:
    """The end of the entries as of a moment: those of its millisecond are included."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000) + MILLISECOND


def check_history(first: date, last: date) -> None:
    """Raises ValidationFailed unless the days are in order and few enough."""
    if last < first:
        raise ValidationFailed(details={"to": ["Must not be before from."]})
    if (last - first).days >= MAX_HISTORY_DAYS:
        raise ValidationFailed(
            details={"to": [f"Must be less than {MAX_HISTORY_DAYS} days after from."]}
        )


def list_days(first: date, last: date) -> Sequence[date]:
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def build_trial_rows(accounts: Iterable[tuple[Account, int]]) -> Sequence[TrialBalanceRow]:
    """The rows of accounts with their balances."""
    groups: dict[tuple[str, bool, str], list[int]] = {}
    for account, balance in accounts:
        key = (account.currency, account.merchant_id is None, str(account.type))
        groups.setdefault(key, []).append(balance)
    return [
        TrialBalanceRow(
            type,
            currency,
            len(balances),
            sum(-balance for balance in balances if balance < 0),
            sum(balance for balance in balances if balance > 0),
            is_system,
        )
        for (currency, is_system, type), balances in sorted(groups.items())
    ]
