"""Closed periods in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from atomic_adapters.memory.balances import list_entries
from atomic_adapters.memory.tables import MemorySession, Tables
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.ledger_verification import Finding, LedgerCheck
from atomic_core.domain.lists import Position
from atomic_core.domain.periods import ClosingBalance, Period, compute_digest


@dataclass(frozen=True, slots=True)
class MemoryPeriodRepository:
    session: MemorySession

    def lock_accounts(self, merchant_id: UUID) -> Sequence[tuple[UUID, str]]:
        accounts = self.session.tables.accounts.rows.values()
        return sorted(
            (account.id, account.currency)
            for account in accounts
            if account.merchant_id == merchant_id
        )

    def get_last(self, merchant_id: UUID) -> Period | None:
        own = _list_own(self.session.tables, merchant_id)
        return own[-1] if own else None

    def get_closed_through(self, merchant_id: UUID) -> date | None:
        return get_closed_through(self.session.tables, merchant_id)

    def add(self, period: Period, balances: Sequence[ClosingBalance]) -> None:
        tables = self.session.tables
        last = self.get_last(period.merchant_id)
        follows = (period.effective_from, period.previous_digest) == (
            (last.effective_before, last.digest) if last else (None, None)
        )
        has_ended = period.end < tables.clock.now().astimezone(UTC).date()
        if not follows or not has_ended or period.id in tables.periods.rows:
            raise StorageRefused("ledger_periods_follow")
        tables.periods.put(period.id, period)
        tables.closing_balances.put(period.id, tuple(balances))

    def get(self, merchant_id: UUID, period_id: UUID) -> Period | None:
        period = self.session.tables.periods.rows.get(period_id)
        return period if period and period.merchant_id == merchant_id else None

    def list(self, merchant_id: UUID, after: Position | None, limit: int) -> Sequence[Period]:
        own = _list_own(self.session.tables, merchant_id)
        positions = [(Position(period.closed_at, period.id), period) for period in own]
        page = [period for position, period in positions if after is None or position < after]
        return page[::-1][:limit]

    def list_balances(
        self, period_id: UUID, after: int | None, limit: int
    ) -> Sequence[ClosingBalance]:
        balances = self.session.tables.closing_balances.rows.get(period_id, ())
        return [row for row in balances if row.sequence > (after or 0)][:limit]


def _list_own(tables: Tables, merchant_id: UUID) -> list[Period]:
    own = (row for row in tables.periods.rows.values() if row.merchant_id == merchant_id)
    return sorted(own, key=lambda period: period.end)


def get_closed_through(tables: Tables, merchant_id: UUID) -> date | None:
    own = _list_own(tables, merchant_id)
    return own[-1].end if own else None


def is_closed(tables: Tables, merchant_id: UUID, effective_at: datetime | None) -> bool:
    closed_through = get_closed_through(tables, merchant_id)
    if effective_at is None or closed_through is None:
        return False
    return effective_at.astimezone(UTC).date() <= closed_through


def check_periods(tables: Tables) -> Iterator[Finding]:
    for id, period in sorted(tables.periods.rows.items()):
        balances = tables.closing_balances.rows.get(id, ())
        digest = compute_digest(
            period.merchant_id, period.start, period.end, period.previous_digest, balances
        )
        own = _list_own(tables, period.merchant_id)
        place = own.index(period)
        previous = own[place - 1].digest if place else None
        found = (digest, previous, len(balances))
        if found != (period.digest, period.previous_digest, period.accounts):
            problem = "its digest is not that of its balances and of the period before"
            yield Finding(LedgerCheck.PERIOD_DIGEST_FITS, str(id), problem)


def check_closing_balances(tables: Tables) -> Iterator[Finding]:
    for id, period in sorted(tables.periods.rows.items()):
        kept = {row.account_id: row.balance for row in tables.closing_balances.rows.get(id, ())}
        owned = {
            account.id
            for account in tables.accounts.rows.values()
            if account.merchant_id == period.merchant_id
        }
        for account_id in sorted(kept.keys() | owned):
            total = sum(
                entry.amount
                for entry, transaction in list_entries(tables, account_id)
                if (transaction.effective_at or transaction.posted_at) < period.effective_before
            )
            balance = kept.get(account_id, 0)
            if balance != total:
                problem = f"{balance} was kept, and the entries sum to {total}"
                subject = f"{id}/{account_id}"
                yield Finding(LedgerCheck.CLOSING_BALANCE_IS_SUM, subject, problem)
