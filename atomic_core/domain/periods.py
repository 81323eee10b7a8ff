"""Closed periods of a merchant's books: the balances at their end, and a digest of them.

Nothing that takes effect in a closed period is posted any more. The digest covers the balances and
the digest of the period before, so that the last one proves all of them.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.balances import begin_day, end_day
from atomic_core.domain.errors import PeriodClosed, ValidationFailed
from atomic_core.domain.origins import Origin

DIGEST_VERSION: Final = "atomic ledger period 1"
"""The first line of the canonical text."""


class ClosingBalance(NamedTuple):
    """The balance of an account on the effective axis at the end of a period."""

    sequence: int
    """1, 2, 3 … in the order of account ids."""
    account_id: UUID
    currency: str
    balance: int


@dataclass(frozen=True, slots=True)
class Period:
    """A closed period. Its first day is the day after the period before."""

    id: UUID
    merchant_id: UUID
    start: date | None
    """None: the first period, which has everything before its end."""
    end: date
    """Its last day (UTC)."""
    closed_at: datetime
    accounts: int
    """How many closing balances it has."""
    digest: bytes
    previous_digest: bytes | None
    """Of the period before."""

    @property
    def created_at(self) -> datetime:
        return self.closed_at

    @property
    def digest_hex(self) -> str:
        return self.digest.hex()

    @property
    def previous_digest_hex(self) -> str | None:
        return self.previous_digest.hex() if self.previous_digest else None

    @property
    def effective_from(self) -> datetime | None:
        return begin_day(self.start) if self.start else None

    @property
    def effective_before(self) -> datetime:
        """Whatever takes effect before this time is closed."""
        return end_day(self.end)


@dataclass(frozen=True, slots=True)
class ClosingRequest:
    merchant_id: UUID
    end: date
    origin: Origin | None = None


def build_period(
    id: UUID,
    merchant_id: UUID,
    end: date,
    previous: Period | None,
    balances: Iterable[ClosingBalance],
    closed_at: datetime,
) -> Period:
    balances = list(balances)
    start = previous.end + timedelta(days=1) if previous else None
    previous_digest = previous.digest if previous else None
    digest = compute_digest(merchant_id, start, end, previous_digest, balances)
    return Period(id, merchant_id, start, end, closed_at, len(balances), digest, previous_digest)


def compute_digest(
    merchant_id: UUID,
    start: date | None,
    end: date,
    previous_digest: bytes | None,
    balances: Iterable[ClosingBalance],
) -> bytes:
    """SHA-256 of the canonical text, which docs/balances.md describes: UTF-8, each of these on a
    line that ends with a line feed. What is missing is a hyphen."""
    lines = [
        DIGEST_VERSION,
        f"merchant {merchant_id}",
        f"from {start or '-'}",
        f"to {end}",
        f"previous {previous_digest.hex() if previous_digest else '-'}",
        *(f"{row.account_id} {row.currency} {row.balance}" for row in balances),
    ]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).digest()


def check_end(end: date, now: datetime) -> None:
    """Raises ValidationFailed unless the period has ended: what is posted now takes effect now."""
    if end >= now.astimezone(UTC).date():
        raise ValidationFailed(details={"endDate": ["Must be before the present day in UTC."]})


def check_effective_at(effective_at: datetime, closed_through: date | None) -> None:
    """Raises PeriodClosed for a time in a closed period."""
    if closed_through is not None and effective_at < end_day(closed_through):
        raise PeriodClosed(
            details={"effectiveAt": [f"Must be after {closed_through}, the last closed day."]},
            facts={"closedThrough": str(closed_through)},
        )


def check_follows(end: date, previous: Period | None) -> None:
    """Raises PeriodClosed for a day that is closed already."""
    if previous and end <= previous.end:
        raise PeriodClosed(
            details={"endDate": [f"Must be after {previous.end}, the last closed day."]},
            facts={"closedThrough": str(previous.end)},
        )
