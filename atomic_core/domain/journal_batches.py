"""Batches of journal transactions."""

from collections.abc import Mapping, Sequence
from typing import Final

from atomic_core.domain.errors import AtomicError, ValidationFailed
from atomic_core.domain.journal import NewJournalTransaction

MAX_BATCH_TRANSACTIONS: Final = 1_000

MAX_BATCH_ENTRIES: Final = 5_000
"""Entries of all transactions of a batch: five each, if there are 1,000. They are posted in one
commit: this bounds how long their accounts are locked, and the size of each statement."""

ITEMS: Final = "transactions"
"""The member of the request that has the transactions: errors name them by it and their index."""


def check_batch(transactions: Sequence[NewJournalTransaction]) -> None:
    """Raises ValidationFailed for a batch that is too large, and for an external id that it uses
    twice."""
    if not 1 <= len(transactions) <= MAX_BATCH_TRANSACTIONS:
        problem = f"Must be a list of 1 to {MAX_BATCH_TRANSACTIONS} transactions."
        raise ValidationFailed(details={ITEMS: [problem]})
    entries = sum(len(transaction.entries) for transaction in transactions)
    if entries > MAX_BATCH_ENTRIES:
        problem = f"Must have at most {MAX_BATCH_ENTRIES} entries in all; these have {entries}."
        raise ValidationFailed(details={ITEMS: [problem]})
    first_index_by_id: dict[str, int] = {}
    errors: dict[str, list[str]] = {}
    for index, transaction in enumerate(transactions):
        if transaction.external_id is None:
            continue
        first_index = first_index_by_id.setdefault(transaction.external_id, index)
        if first_index != index:
            problem = f"Must differ from the externalId of {ITEMS}.{first_index}."
            errors[f"{ITEMS}.{index}.externalId"] = [problem]
    if errors:
        raise ValidationFailed(details=errors)


def locate_error(error: AtomicError, index: int) -> AtomicError:
    """The error of one transaction, as that of its whole batch: of the same class, with the index
    in its details and its message."""
    details: Mapping[str, Sequence[str]] = error.details or {"": [error.message]}
    located = {
        f"{ITEMS}.{index}.{name}".rstrip("."): messages for name, messages in details.items()
    }
    if isinstance(error, ValidationFailed):
        return type(error)(details=located)
    message = f"{ITEMS}.{index}: {error.message}"
    return type(error)(message, details=located, facts=error.facts)
