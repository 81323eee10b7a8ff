"""Closing periods and reading them."""

from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.balances import BalanceQuery, TimeAxis, end_day
from atomic_core.domain.errors import NotFound
from atomic_core.domain.lists import Page, Position
from atomic_core.domain.periods import (
    ClosingBalance,
    ClosingRequest,
    Period,
    build_period,
    check_end,
    check_follows,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class ClosePeriod(Command[ClosingRequest, Period]):
    """Close a merchant's books up to a day that has ended. Audited if the origin is known. Locks
    the merchant, then all its accounts in id order: payments of the merchant wait.

    Raises ValidationFailed for a day that has not ended; PeriodClosed for one that is closed.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, request: ClosingRequest) -> Period:
        work.merchants.lock(request.merchant_id)
        check_end(request.end, work.now())
        previous = work.periods.get_last(request.merchant_id)
        check_follows(request.end, previous)
        accounts = work.periods.lock_accounts(request.merchant_id)
        end = end_day(request.end)
        queries = [BalanceQuery(account_id, end) for account_id, _ in accounts]
        sums = work.balances.list_before(queries, TimeAxis.EFFECTIVE)
        balances = [
            ClosingBalance(number, account_id, currency, row.balance)
            for number, ((account_id, currency), row) in enumerate(
                zip(accounts, sums, strict=True), start=1
            )
        ]
        period = build_period(
            self.ids.new_id(), request.merchant_id, request.end, previous, balances, work.now()
        )
        work.periods.add(period, balances)
        if request.origin:
            details = {"periodId": str(period.id), "endDate": str(period.end)}
            event = AuditEvent(
                self.ids.new_id(),
                AuditEventType.LEDGER_PERIOD_CLOSED,
                request.origin,
                request.merchant_id,
                details,
            )
            work.audit_log.add(event)
        return period


@dataclass(frozen=True, slots=True)
class GetPeriod:
    """A closed period of this merchant. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, period_id: UUID) -> Period:
        with self.begin() as work:
            return _get_period(work, merchant_id, period_id)


@dataclass(frozen=True, slots=True)
class ListPeriods:
    """A merchant's closed periods, the latest first."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, after: Position | None, limit: int) -> Page[Period]:
        with self.begin() as work:
            found = work.periods.list(merchant_id, after, limit + 1)
        return Page(found[:limit], has_more=len(found) > limit)


@dataclass(frozen=True, slots=True)
class ListClosingBalances:
    """The closing balances of a period, in the order of account ids. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, period_id: UUID, after: int | None, limit: int
    ) -> Page[ClosingBalance]:
        with self.begin() as work:
            _get_period(work, merchant_id, period_id)
            found = work.periods.list_balances(period_id, after, limit + 1)
        return Page(found[:limit], has_more=len(found) > limit)


def _get_period(work: UnitOfWork, merchant_id: UUID, period_id: UUID) -> Period:
    period = work.periods.get(merchant_id, period_id)
    if period is None:
        raise NotFound("No ledger period has this id.")
    return period
