"""Steps that the use cases of journal transactions have in common."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import Conflict, ExternalIdTaken, TransactionReversed
from atomic_core.domain.events import Event, EventType
from atomic_core.domain.journal import JournalStatus, JournalTransaction, describe_transaction
from atomic_core.domain.journal_posting import JournalResult
from atomic_core.domain.ledger import Entry
from atomic_core.domain.origins import Origin
from atomic_core.domain.periods import check_effective_at
from atomic_core.ports.unit_of_work import UnitOfWork


def build_period_check(work: UnitOfWork, merchant_id: UUID) -> Callable[[datetime | None], None]:
    """A function that raises PeriodClosed for what would take effect in a closed period. To be used
    after the accounts are locked: a period that is being closed has locked them before. It reads
    the last period once, if there is something to compare."""
    get_closed_through = cache(lambda: work.periods.get_closed_through(merchant_id))

    def check_period(effective_at: datetime | None) -> None:
        if effective_at is not None:
            check_effective_at(effective_at, get_closed_through())

    return check_period


def save_transaction(
    work: UnitOfWork, transaction: JournalTransaction, result: JournalResult
) -> None:
    if not work.journal.add([transaction]):
        # A concurrent request was first.
        if transaction.reverses_id:
            original = work.journal.get(transaction.merchant_id, transaction.reverses_id)
            if original and original.reversed_by_id:
                raise build_reversed_error(original.reversed_by_id)
        raise find_external_id_error(work, transaction)
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


def record_posting(
    transaction: JournalTransaction, entries: Sequence[Entry], posted_at: datetime
) -> JournalTransaction:
    """The transaction with the entries that are posted of it."""
    posted = {entry.account_id: entry for entry in entries}
    return replace(
        transaction,
        status=JournalStatus.POSTED,
        entries=[
            entry._replace(
                sequence=posted[entry.account_id].sequence,
                balance_after=posted[entry.account_id].balance_after,
                posted_amount=posted[entry.account_id].amount,
            )
            if entry.account_id in posted
            else entry
            for entry in transaction.entries
        ],
        effective_at=transaction.effective_at or posted_at,
        posted_at=posted_at,
    )


def find_external_id_error(work: UnitOfWork, transaction: JournalTransaction) -> ExternalIdTaken:
    """For a transaction whose external id was in use when it was inserted."""
    external_ids = [transaction.external_id] if transaction.external_id else []
    used = work.journal.find_by_external_ids(transaction.merchant_id, external_ids)
    return build_external_id_error(next(iter(used.values()), None))


def build_external_id_error(used_by: UUID | None) -> ExternalIdTaken:
    return ExternalIdTaken(
        details={"externalId": [f"Is that of {used_by}."]}, facts={"usedBy": str(used_by)}
    )


def build_reversed_error(reversal_id: UUID) -> TransactionReversed:
    return TransactionReversed(facts={"reversedById": str(reversal_id)})
