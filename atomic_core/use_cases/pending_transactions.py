"""Posting, voiding and expiring pending journal transactions. The first one to commit decides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import NotFound, TransactionNotPending
from atomic_core.domain.journal import (
    JournalStatus,
    JournalTransaction,
    build_refusal_error,
    check_accounts,
)
from atomic_core.domain.journal_posting import JournalPosting, post_journal
from atomic_core.domain.origins import Origin
from atomic_core.domain.pending_posting import choose_legs
from atomic_core.domain.posting import Leg
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command
from atomic_core.use_cases.journal_saving import (
    build_event,
    build_period_check,
    build_status_error,
    record_posting,
)

EXPIRE_BATCH_SIZE: Final = 100
"""Transactions that expire per database transaction. Each locks up to 100 accounts."""

MAX_EXPIRE_BATCHES: Final = 20
"""Batches per call, so that the sweeper soon settles overdue payments again."""


@dataclass(frozen=True, slots=True)
class PostPendingRequest:
    """A request to post a pending transaction: all of it, an `amount` (minor units) of two entries,
    or these `entries`."""

    merchant_id: UUID
    transaction_id: UUID
    amount: int | None = None
    entries: tuple[Leg, ...] | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class VoidRequest:
    """A request to release what a pending transaction reserves."""

    merchant_id: UUID
    transaction_id: UUID
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class PostPendingTransaction(Command[PostPendingRequest, JournalTransaction]):
    """Post a pending transaction, in whole or in part, and release the rest. Locks the transaction,
    then its accounts in id order.

    Raises NotFound; TransactionNotPending; ValidationFailed and AmountExceedsReserved for a part
    that the transaction does not have; PeriodClosed if it takes effect in a closed period;
    TransactionRefused.
    """

    begin: UnitOfWorkFactory

    def execute(self, work: UnitOfWork, request: PostPendingRequest) -> JournalTransaction:
        pending = _lock_pending(work, request.merchant_id, request.transaction_id)
        legs = choose_legs(pending, request.amount, request.entries)
        reserved = _list_legs(pending)
        accounts = work.accounts.lock_owned(
            pending.merchant_id, [account_id for account_id, _ in reserved]
        )
        check_accounts(legs, accounts)
        build_period_check(work, pending.merchant_id)(pending.effective_at)
        posting = JournalPosting(pending.id, legs, pending.effective_at, reserved)
        result = post_journal(accounts, [posting], work.now())
        if pending.id in result.refusals:
            raise build_refusal_error(result.refusals[pending.id])
        entries = result.get_entries()[pending.id]
        posted = replace(
            record_posting(pending, entries, result.posted_at), resolved_at=result.posted_at
        )
        work.journal.resolve([posted])
        work.ledger.save(result.posted)
        work.events.add([build_event(posted, request.origin)])
        return posted


@dataclass(frozen=True, slots=True)
class VoidTransaction(Command[VoidRequest, JournalTransaction]):
    """Release what a pending transaction reserves. Locks as PostPendingTransaction. Raises NotFound
    and TransactionNotPending."""

    begin: UnitOfWorkFactory

    def execute(self, work: UnitOfWork, request: VoidRequest) -> JournalTransaction:
        pending = _lock_pending(work, request.merchant_id, request.transaction_id)
        [voided] = _release(work, [pending], JournalStatus.VOIDED)
        work.events.add([build_event(voided, request.origin)])
        return voided


@dataclass(frozen=True, slots=True)
class ExpireTransactions:
    """Release what pending transactions reserve whose time has ended, by the database's clock.
    Returns their number."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        total = 0
        for _ in range(MAX_EXPIRE_BATCHES):
            with self.begin() as work:
                pending = work.journal.lock_expired(EXPIRE_BATCH_SIZE)
                if pending:
                    expired = _release(work, pending, JournalStatus.EXPIRED)
                    work.events.add([build_event(transaction, None) for transaction in expired])
                    work.commit()
            total += len(pending)
            if len(pending) < EXPIRE_BATCH_SIZE:
                break
        return total


def _lock_pending(work: UnitOfWork, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction:
    transaction = work.journal.lock(merchant_id, transaction_id)
    if transaction is None:
        raise NotFound("No ledger transaction has this id.")
    if transaction.status is not JournalStatus.PENDING:
        raise build_status_error(transaction, TransactionNotPending)
    return transaction


def _list_legs(transaction: JournalTransaction) -> tuple[Leg, ...]:
    return tuple(Leg(entry.account_id, entry.amount) for entry in transaction.entries)


def _release(
    work: UnitOfWork, pending: Sequence[JournalTransaction], status: JournalStatus
) -> Sequence[JournalTransaction]:
    """The transactions with their new status, saved. Posts nothing."""
    work.accounts.lock({entry.account_id for row in pending for entry in row.entries})
    # The time is read after the accounts are locked, as in settlement.
    now = work.now()
    resolved = [replace(row, status=status, resolved_at=now) for row in pending]
    work.journal.resolve(resolved)
    return resolved
