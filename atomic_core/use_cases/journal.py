"""Posting, reserving, reversing and reading journal transactions: the ledger as merchants use it.
`pending_transactions.py` ends those that are reserved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from atomic_core.domain.errors import NotFound, ReversalNotReversible, TransactionNotPosted
from atomic_core.domain.journal import (
    JournalStatus,
    JournalTransaction,
    NewJournalTransaction,
    negate_entries,
)
from atomic_core.domain.lists import JournalFilter, Page, Position
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command
from atomic_core.use_cases.journal_saving import (
    build_reversed_error,
    build_status_error,
    save_transaction,
)
from atomic_core.use_cases.journal_sets import prepare_transaction


@dataclass(frozen=True, slots=True)
class PostTransaction(Command[NewJournalTransaction, JournalTransaction]):
    """Post a transaction at once, or reserve its entries if it is pending. Locks its accounts in id
    order.

    Raises ValidationFailed for entries that do not balance; NotFound for an account that is not the
    merchant's; Conflict for an external id that is in use; PeriodClosed if it takes effect in a
    closed period; TransactionRefused, which names the entry that its account does not allow.
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
        if original.status is not JournalStatus.POSTED:
            raise build_status_error(original, TransactionNotPosted)
        if original.reverses_id:
            raise ReversalNotReversible
        if original.reversed_by_id:
            raise build_reversed_error(original.reversed_by_id)
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
