"""Steps that the use cases of journal transactions have in common."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import Conflict, ExternalIdTaken, TransactionReversed
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.journal import (
    JournalEntry,
    JournalStatus,
    JournalTransaction,
    NewJournalTransaction,
    build_refusal_error,
    check_accounts,
    check_entries,
    check_expiry,
    describe_transaction,
    find_expiry,
)
from atomic_core.domain.journal_posting import JournalPosting, JournalResult, post_journal
from atomic_core.domain.origins import Origin
from atomic_core.domain.periods import check_effective_at
from atomic_core.ports.unit_of_work import UnitOfWork


def prepare_transaction(
    work: UnitOfWork,
    id: UUID,
    new_transaction: NewJournalTransaction,
    reverses_id: UUID | None = None,
) -> tuple[JournalTransaction, JournalResult]:
    """Lock the accounts and post in memory; saves nothing. Raises what PostTransaction raises."""
    check_entries(new_transaction.entries)
    if new_transaction.expires_at is not None:
        check_expiry(new_transaction.expires_at, work.now(), is_pending=new_transaction.is_pending)
    _check_external_id(work, new_transaction)
    account_ids = [account_id for account_id, _ in new_transaction.entries]
    accounts = work.accounts.lock_owned(new_transaction.merchant_id, account_ids)
    check_accounts(new_transaction.entries, accounts)
    check_period(work, new_transaction.merchant_id, new_transaction.effective_at)
    posting = JournalPosting(
        id,
        new_transaction.entries,
        new_transaction.effective_at,
        is_pending=new_transaction.is_pending,
    )
    # The time is read after the accounts are locked, as in settlement.
    result = post_journal(accounts, [posting], work.now())
    if id in result.refusals:
        raise build_refusal_error(result.refusals[id])
    return _build_transaction(id, new_transaction, accounts, result, reverses_id), result


def check_period(work: UnitOfWork, merchant_id: UUID, effective_at: datetime | None) -> None:
    """Raises PeriodClosed. The accounts must be locked: a period that is being closed has locked
    them before."""
    if effective_at is not None:
        check_effective_at(effective_at, work.periods.get_closed_through(merchant_id))


def save_transaction(
    work: UnitOfWork, transaction: JournalTransaction, result: JournalResult
) -> None:
    if not work.journal.add([transaction]):
        # A concurrent request was first.
        if transaction.reverses_id:
            original = work.journal.get(transaction.merchant_id, transaction.reverses_id)
            if original and original.reversed_by_id:
                raise build_reversed_error(original.reversed_by_id)
        raise _build_external_id_error(work, transaction.merchant_id, transaction.external_id)
    work.ledger.save(result.posted)
    work.events.add([build_event(transaction, transaction.origin)])


_EVENT_TYPES: Final = {
    JournalStatus.PENDING: EventType.LEDGER_TRANSACTION_PENDING,
    JournalStatus.POSTED: EventType.LEDGER_TRANSACTION_POSTED,
    JournalStatus.VOIDED: EventType.LEDGER_TRANSACTION_VOIDED,
    JournalStatus.EXPIRED: EventType.LEDGER_TRANSACTION_EXPIRED,
}


def build_event(transaction: JournalTransaction, origin: Origin | None) -> Event:
    """The event of the transaction's status. `origin` is that of the request that caused it."""
    return Event(
        transaction.merchant_id,
        _EVENT_TYPES[transaction.status],
        None,
        None,
        origin=origin,
        data=describe_transaction(transaction),
    )


def build_status_error(transaction: JournalTransaction, error: type[Conflict]) -> Conflict:
    """The error for a request that the status of the transaction does not allow. The default
    message of `error` is the rule."""
    rule, status = error().message.removesuffix("."), transaction.status.value
    return error(f"{rule}; this one is {status}.", details={"status": [status]})


def _build_transaction(
    id: UUID,
    new_transaction: NewJournalTransaction,
    accounts: Mapping[UUID, Account],
    result: JournalResult,
    reverses_id: UUID | None,
) -> JournalTransaction:
    requested = [
        JournalEntry(account_id, accounts[account_id].currency, amount, None, None, 0)
        for account_id, amount in new_transaction.entries
    ]
    transaction = JournalTransaction(
        id,
        new_transaction.merchant_id,
        JournalStatus.PENDING,
        requested,
        new_transaction.description,
        new_transaction.metadata,
        new_transaction.external_id,
        new_transaction.effective_at,
        result.posted_at,
        None,
        reverses_id,
        idempotency_key=new_transaction.idempotency_key,
        origin=new_transaction.origin,
        expires_at=find_expiry(new_transaction, result.posted_at),
    )
    return transaction if new_transaction.is_pending else record_posting(transaction, result)


def record_posting(transaction: JournalTransaction, result: JournalResult) -> JournalTransaction:
    """The transaction with the entries that `result` posts of it."""
    posted = {entry.account_id: entry for entry in result.get_entries()[transaction.id]}
    entries = [
        entry._replace(
            sequence=posted[entry.account_id].sequence,
            balance_after=posted[entry.account_id].balance_after,
            posted_amount=posted[entry.account_id].amount,
        )
        if entry.account_id in posted
        else entry
        for entry in transaction.entries
    ]
    return replace(
        transaction,
        status=JournalStatus.POSTED,
        entries=entries,
        effective_at=transaction.effective_at or result.posted_at,
        posted_at=result.posted_at,
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


def build_reversed_error(reversal_id: UUID) -> TransactionReversed:
    return TransactionReversed(facts={"reversedById": str(reversal_id)})
