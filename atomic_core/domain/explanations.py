"""Why the balance of an account differs between two moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.balances import MILLISECOND, BalanceBefore
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.lists import Page

MAX_EXPLAINED_ENTRIES: Final = 100_000
"""Between the two moments. They are read to sum them by kind."""


class KindSum(NamedTuple):
    """The entries of one kind of ledger transaction. Both sums are positive."""

    kind: str
    entries: int
    debit: int
    credit: int

    @property
    def change(self) -> int:
        return self.credit - self.debit


class ExplainedEntry(NamedTuple):
    """An entry, what it was posted for, and the request that caused it."""

    account_id: UUID
    sequence: int
    transaction_id: UUID
    payment_id: UUID | None
    refund_id: UUID | None
    kind: str
    amount: int
    balance_after: int
    posted_at: datetime
    dispute_id: UUID | None
    effective_at: datetime
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The balances at two moments, and the entries that were posted between them."""

    account: Account
    opening: BalanceBefore
    closing: BalanceBefore
    kinds: Sequence[KindSum] | None
    """None on all pages but the first."""
    page: Page[ExplainedEntry]
    """Newest first."""

    @property
    def begin(self) -> datetime:
        return self.opening.before - MILLISECOND

    @property
    def end(self) -> datetime:
        return self.closing.before - MILLISECOND

    @property
    def change(self) -> int:
        return self.closing.balance - self.opening.balance

    @property
    def entry_count(self) -> int:
        return self.closing.sequence - self.opening.sequence


def check_moments(begin: datetime, end: datetime) -> None:
    """Raises ValidationFailed unless they are in order."""
    if end < begin:
        raise ValidationFailed(details={"to": ["Must not be before from."]})


def check_entry_count(count: int) -> None:
    """Raises ValidationFailed if there are too many to be summed."""
    if count > MAX_EXPLAINED_ENTRIES:
        problem = (
            f"There are {count} entries between from and to; choose a shorter time with at most "
            f"{MAX_EXPLAINED_ENTRIES}."
        )
        raise ValidationFailed(details={"from": [problem]})
