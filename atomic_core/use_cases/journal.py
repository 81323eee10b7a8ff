"""Posting, reversing and reading journal transactions: the ledger as merchants use it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import (
    ExternalIdTaken,
    NotFound,
    ReversalNotReversible,
    TransactionReversed,
)
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.journal import (
    JournalEntry,
    JournalStatus,
    JournalTransaction,
    NewJournalTransaction,
    build_refusal_error,
    check_accounts,
    check_entries,
    describe_transaction,
    negate_entries,
)
from atomic_core.domain.journal_posting import JournalPosting, JournalResult, post_journal
from atomic_core.domain.lists import JournalFilter, Page, Position
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


@dataclass(frozen=True, slots=True)
class PostTransaction(Command[NewJournalTransaction, JournalTransaction]):
    """Post a transaction at once. Locks its accounts in id order.

    Raises ValidationFailed for entries that do not balance; NotFound for an account that is not the
    merchant's; Conflict for an external id that is in use; TransactionRefused, which names the
    entry that its account does not allow.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(
        self, work: UnitOfWork, new_transaction: NewJournalTransaction
    ) -> JournalTransaction:
        transaction, result = prepare_transaction(work, self.ids.new_id(), new_transaction)
        save_transaction(work, transaction, result)
        return transaction


@dataclass(frozen=True, slots=True)
class PreviewTransaction:
    """What PostTransaction would post now, with the same errors. Changes nothing."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, new_transaction: NewJournalTransaction) -> JournalTransaction:
        with self.begin() as work:
            transaction, _ = prepare_transaction(work, self.ids.new_id(), new_transaction)
        return transaction


@dataclass(frozen=True, slots=True)
class ReversalRequest:
    """A request to post the negated entries of a transaction."""

    merchant_id: UUID
    transaction_id: UUID
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None
    effective_at: datetime | None = None
    idempotency_key: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ReverseTransaction(Command[ReversalRequest, JournalTransaction]):
    """Post the negated entries of a transaction, once: of concurrent requests the first one to be
    stored wins. Locks the accounts.

    Raises NotFound; Conflict for a transaction that is reversed already or is itself a reversal;
    and what PostTransaction raises.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, request: ReversalRequest) -> JournalTransaction:
        original = work.journal.get(request.merchant_id, request.transaction_id)
        if original is None:
            raise NotFound("No ledger transaction has this id.")
        if original.reverses_id:
            raise ReversalNotReversible
        if original.reversed_by_id:
            raise _build_reversed_error(original.reversed_by_id)
        new_transaction = NewJournalTransaction(
            request.merchant_id,
            negate_entries(original.entries),
            request.description,
            request.metadata,
            request.external_id,
            request.effective_at,
            request.idempotency_key,
            request.origin,
        )
        reversal, result = prepare_transaction(
            work, self.ids.new_id(), new_transaction, reverses_id=original.id
        )
        save_transaction(work, reversal, result)
        return reversal


@dataclass(frozen=True, slots=True)
class GetTransaction:
    """A journal transaction of this merchant. Raises NotFound, also for another merchant's."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction:
        with self.begin() as work:
            transaction = work.journal.get(merchant_id, transaction_id)
        if transaction is None:
            raise NotFound("No ledger transaction has this id.")
        return transaction


@dataclass(frozen=True, slots=True)
class ListTransactions:
    """A merchant's journal transactions, newest first."""

    begin: UnitOfWorkFactory

    def __call__(
        self, merchant_id: UUID, filters: JournalFilter, after: Position | None, limit: int
    ) -> Page[JournalTransaction]:
        with self.begin() as work:
            found = work.journal.list(merchant_id, filters, after, limit + 1)
        return Page(found[:limit], has_more=len(found) > limit)


def prepare_transaction(
    work: UnitOfWork,
    id: UUID,
    new_transaction: NewJournalTransaction,
    reverses_id: UUID | None = None,
) -> tuple[JournalTransaction, JournalResult]:
    """Lock the accounts and post in memory; saves nothing. Raises what PostTransaction raises."""
    check_entries(new_transaction.entries)
    _check_external_id(work, new_transaction)
    account_ids = [account_id for account_id, _ in new_transaction.entries]
    accounts = work.accounts.lock_owned(new_transaction.merchant_id, account_ids)
    check_accounts(new_transaction.entries, accounts)
    posting = JournalPosting(id, new_transaction.entries, new_transaction.effective_at)
    # The time is read after the accounts are locked, as in settlement.
    result = post_journal(accounts, [posting], work.now())
    if id in result.refusals:
        raise build_refusal_error(result.refusals[id])
    return _build_transaction(id, new_transaction, accounts, result, reverses_id), result


def save_transaction(
    work: UnitOfWork, transaction: JournalTransaction, result: JournalResult
) -> None:
    if not work.journal.add([transaction]):
        # A concurrent request was first.
        if transaction.reverses_id:
            original = work.journal.get(transaction.merchant_id, transaction.reverses_id)
            if original and original.reversed_by_id:
                raise _build_reversed_error(original.reversed_by_id)
        raise _build_external_id_error(work, transaction.merchant_id, transaction.external_id)
    work.ledger.save(result.posted)
    event = Event(
        transaction.merchant_id,
        EventType.LEDGER_TRANSACTION_POSTED,
        None,
        None,
        origin=transaction.origin,
        data=describe_transaction(transaction),
    )
    work.events.add([event])


def _build_transaction(
    id: UUID,
    new_transaction: NewJournalTransaction,
    accounts: Mapping[UUID, Account],
    result: JournalResult,
    reverses_id: UUID | None,
) -> JournalTransaction:
    entries = [
        JournalEntry(
            entry.account_id,
            accounts[entry.account_id].currency,
            entry.amount,
            entry.sequence,
            entry.balance_after,
        )
        for entry in result.get_entries()[id]
    ]
    return JournalTransaction(
        id,
        new_transaction.merchant_id,
        JournalStatus.POSTED,
        entries,
        new_transaction.description,
        new_transaction.metadata,
        new_transaction.external_id,
        new_transaction.effective_at or result.posted_at,
        result.posted_at,
        result.posted_at,
        reverses_id,
        idempotency_key=new_transaction.idempotency_key,
        origin=new_transaction.origin,
    )


def _check_external_id(work: UnitOfWork, new_transaction: NewJournalTransaction) -> None:
    """Before the balances: the repetition of a request that succeeded is not refused for the
    balance that it left."""
    merchant_id, external_id = new_transaction.merchant_id, new_transaction.external_id
    if external_id is not None and work.journal.find_by_external_id(merchant_id, external_id):
        raise _build_external_id_error(work, merchant_id, external_id)


def _build_external_id_error(
    work: UnitOfWork, merchant_id: UUID, external_id: str | None
) -> ExternalIdTaken:
    used_by = external_id and work.journal.find_by_external_id(merchant_id, external_id)
    return ExternalIdTaken(
        details={"externalId": [f"Is that of {used_by}."]}, facts={"usedBy": str(used_by)}
    )


def _build_reversed_error(reversal_id: UUID) -> TransactionReversed:
    return TransactionReversed(facts={"reversedById": str(reversal_id)})
