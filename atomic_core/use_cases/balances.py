"""Balances as of a moment, their history per day, trial balances, and snapshots."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.balances import (
    DAY,
    MILLISECOND,
    AccountBalance,
    BalanceHistory,
    BalanceQuery,
    DayBalance,
    TimeAxis,
    TrialBalance,
    begin_day,
    check_history,
    end_day,
    list_days,
)
from atomic_core.domain.errors import NotFound
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory

SNAPSHOT_BATCH_SIZE: Final = 500
"""Accounts per transaction."""

MAX_SNAPSHOT_BATCHES: Final = 20
"""Per call, so that the sweeper soon settles overdue payments again."""

SNAPSHOT_DELAY: Final = timedelta(minutes=1)
"""After the end of a day. What is committed later still is found when the next day is taken."""


@dataclass(frozen=True, slots=True)
class GetBalance:
    """The balance of a merchant's account from all entries before a moment; None: the present one.
    Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, account_id: UUID, axis: TimeAxis, before: datetime | None
    ) -> AccountBalance:
        with self.begin() as work:
            account = get_account(work, merchant_id, account_id)
            end = before or work.now() + MILLISECOND
            query = BalanceQuery(account_id, end)
            if before is None and axis is TimeAxis.POSTED:
                sequence, balance = account.sequence, account.balance
            else:
                [(_, _, sequence, balance)] = work.balances.list_before([query], axis)
        return AccountBalance(
            account,
            axis,
            end - MILLISECOND,
            balance,
            sequence if axis is TimeAxis.POSTED else None,
            account.pending if before is None else None,
            account.available if before is None else None,
        )


@dataclass(frozen=True, slots=True)
class GetBalanceHistory:
    """The balance of a merchant's account at the end of each day (UTC) from `first` to `last`.

    Raises NotFound, and ValidationFailed for more than MAX_HISTORY_DAYS."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, account_id: UUID, axis: TimeAxis, first: date, last: date
    ) -> BalanceHistory:
        check_history(first, last)
        with self.begin() as work:
            account = get_account(work, merchant_id, account_id)
            days = list_days(first, last)
            moments = [begin_day(first), *(end_day(day) for day in days)]
            queries = [BalanceQuery(account_id, moment) for moment in moments]
            balances = [row.balance for row in work.balances.list_before(queries, axis)]
        changes = (after - before for before, after in pairwise(balances))
        return BalanceHistory(
            account,
            axis,
            balances[0],
            [DayBalance(*day) for day in zip(days, balances[1:], changes, strict=True)],
        )


@dataclass(frozen=True, slots=True)
class GetTrialBalance:
    """The trial balance of a merchant from all entries before a moment; None: now."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, axis: TimeAxis, before: datetime | None) -> TrialBalance:
        return _get_trial_balance(self.begin, merchant_id, axis, before)


@dataclass(frozen=True, slots=True)
class GetWholeTrialBalance:
    """The same of all accounts, World and fees included. For operators."""

    begin: UnitOfWorkFactory

    def __call__(self, axis: TimeAxis, before: datetime | None) -> TrialBalance:
        return _get_trial_balance(self.begin, None, axis, before)


def _get_trial_balance(
    begin: UnitOfWorkFactory, merchant_id: UUID | None, axis: TimeAxis, before: datetime | None
) -> TrialBalance:
    with begin() as work:
        end = before or work.now() + MILLISECOND
        rows = work.balances.sum_by_type(merchant_id, axis, end)
    return TrialBalance(axis, end - MILLISECOND, rows)


@dataclass(frozen=True, slots=True)
class TakeSnapshots:
    """Store the balance of each account at the end of each day that has ended. Returns the number
    of stored snapshots. One process at a time; others return 0."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        total = 0
        for _ in range(MAX_SNAPSHOT_BATCHES):
            count = self._take_batch()
            if count is None:
                break
            total += count
        return total

    def _take_batch(self) -> int | None:
        """None if there is nothing to do."""
        with self.begin() as work:
            progress = work.balances.lock_progress()
            today = (work.now() - SNAPSHOT_DELAY).astimezone(UTC).date()
            if progress is None or progress.through == today - DAY:
                return None
            count, last_id = work.balances.take_snapshots(
                progress.after_id, SNAPSHOT_BATCH_SIZE, today
            )
            if count:
                # The accounts may have further days.
                work.balances.save_progress(progress.through, progress.after_id)
            elif last_id is None:
                work.balances.save_progress(today - DAY, None)
            else:
                work.balances.save_progress(progress.through, last_id)
            work.commit()
        return count


def get_account(work: UnitOfWork, merchant_id: UUID, account_id: UUID) -> Account:
    """Raises NotFound."""
    account = work.accounts.get(merchant_id, account_id)
    if account is None:
        raise NotFound("No account has this id.")
    return account
