"""Finding things again: what may be asked of a list, and where it goes on.

Lists are read newest first, a page at a time. A page ends at a position, and the next begins
behind it: what arrives meanwhile stands before both, so nothing is shown twice or left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Status

MAX_LIMIT: Final = 100
"""Items on a page: about as many as a person looks through, and a few milliseconds' work."""

DEFAULT_LIMIT: Final = 20

MIN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Nothing was made before the one or will be after the other."""

MIN_ID: Final = UUID(int=0)

T = TypeVar("T")


class Position(NamedTuple):
    """A place in a list by creation. Ids part those that were made at the same moment."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool
    """Whether something stands behind the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedFilter:
    """All conditions of a filter must hold. Made from `created_from` on, and before
    `created_to`."""

    created_from: datetime = MIN_TIME
    created_to: datetime = MAX_TIME

    def get_start_position(self, after: Position | None) -> Position:
        """The position behind which the page begins."""
        end = Position(self.created_to, MIN_ID)
        return end if after is None else min(after, end)

    def includes_time(self, moment: datetime) -> bool:
        return self.created_from <= moment < self.created_to


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter(CreatedFilter):
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter(AccountFilter):
    statuses: frozenset[Status] = frozenset()
    """One of these; of any status if there are none."""
    amount_min: int = 1
    amount_max: int = MAX_AMOUNT
    """Minor units, both included."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Pairs that must all be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFilter(PaymentFilter):
    payment_id: UUID | None = None


class AccountEntry(NamedTuple):
    """An entry as it is shown, with what it was posted for. Credits are positive."""

    account_id: UUID
    sequence: int
    transaction_id: UUID
    payment_id: UUID
    refund_id: UUID | None
    kind: str
    amount: int
    balance_after: int
    posted_at: datetime
