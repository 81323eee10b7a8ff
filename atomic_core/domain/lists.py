"""Filters, positions and pages of lists.

Lists are read newest first, by keyset pagination: a page ends at a position and the next one begins
after it, so that rows which are added meanwhile neither repeat nor hide an item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from atomic_core.domain.accounts import AccountType
from atomic_core.domain.disputes import DisputeStatus
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Status

MAX_LIMIT: Final = 100
"""Items per page. A page takes a few milliseconds to read."""

DEFAULT_LIMIT: Final = 20

MIN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Before and after every row."""

MIN_ID: Final = UUID(int=0)

T = TypeVar("T")


class Position(NamedTuple):
    """A position in a list ordered by creation time, then by id."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool
    """Whether items follow the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedFilter:
    """Created from `created_from` on and before `created_to`. An item must meet all conditions of a
    filter."""

    created_from: datetime = MIN_TIME
    created_to: datetime = MAX_TIME

    def get_start_position(self, after: Position | None) -> Position:
        """The position after which the page begins."""
        end = Position(self.created_to, MIN_ID)
        return end if after is None else min(after, end)

    def includes_time(self, moment: datetime) -> bool:
        return self.created_from <= moment < self.created_to


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyFilter(CreatedFilter):
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter(CurrencyFilter):
    type: AccountType | None = None
    external_id: str | None = None
    prefix: str | None = None
    """Of names, in whole segments: see `domain/account_names.py`."""
    balance_min: int = -MAX_AMOUNT
    balance_max: int = MAX_AMOUNT
    """Minor units, inclusive."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Key and value pairs that the metadata must contain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter(CurrencyFilter):
    statuses: frozenset[Status] = frozenset()
    """Any of these; empty for every status."""
    amount_min: int = 1
    amount_max: int = MAX_AMOUNT
    """Minor units, inclusive."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Key and value pairs that the metadata must contain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFilter(PaymentFilter):
    payment_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFilter(CreatedFilter):
    """Of journal transactions."""

    account_id: UUID | None = None
    """Of those with an entry in this account."""
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter(CreatedFilter):
    statuses: frozenset[DisputeStatus] = frozenset()
    """Any of these; empty for every status."""
    payment_id: UUID | None = None


class AccountEntry(NamedTuple):
    """An entry with what it was posted for: a payment, a refund, a dispute, or none of them if the
    transaction is a journal transaction. Credits are positive."""

    account_id: UUID
    sequence: int
    transaction_id: UUID
    payment_id: UUID | None
    refund_id: UUID | None
    kind: str
    amount: int
    balance_after: int
    posted_at: datetime
    dispute_id: UUID | None = None
