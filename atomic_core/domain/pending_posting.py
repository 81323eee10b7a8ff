"""Which part of a pending transaction is posted."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from atomic_core.domain.errors import AmountExceedsReserved, ValidationFailed
from atomic_core.domain.journal import JournalEntry, JournalTransaction, check_entries
from atomic_core.domain.posting import Leg


def choose_legs(
    transaction: JournalTransaction, amount: int | None, entries: Sequence[Leg] | None
) -> tuple[Leg, ...]:
    """The entries to post of a pending transaction: all of them; `amount` (minor units) of one with
    two entries; or `entries`, each at most what is reserved in its account, which post nothing in
    the accounts that they do not name.

    Raises ValidationFailed, and AmountExceedsReserved. That `entries` balance is not checked here.
    """
    if amount is not None and entries is not None:
        raise ValidationFailed(details={"amount": ["Must not be sent with entries."]})
    if entries is not None:
        check_entries(entries)
        _check_parts(entries, {entry.account_id: entry for entry in transaction.entries})
        return tuple(entries)
    if amount is None:
        return tuple(Leg(entry.account_id, entry.amount) for entry in transaction.entries)
    return _split_amount(transaction.entries, amount)


def _split_amount(entries: Sequence[JournalEntry], amount: int) -> tuple[Leg, ...]:
    if len(entries) > 2:
        problem = f"Is for transactions of two entries; this one has {len(entries)}: send entries."
        raise ValidationFailed(details={"amount": [problem]})
    if amount < 1:
        raise ValidationFailed(details={"amount": ["Must be at least 1."]})
    reserved = abs(entries[0].amount)
    if amount > reserved:
        raise AmountExceedsReserved(details={"amount": [f"Must be at most {reserved}."]})
    return tuple(
        Leg(entry.account_id, amount if entry.amount > 0 else -amount) for entry in entries
    )


def _check_parts(entries: Sequence[Leg], reserved: Mapping[UUID, JournalEntry]) -> None:
    errors: dict[str, list[str]] = {}
    excesses: dict[str, list[str]] = {}
    for index, (account_id, amount) in enumerate(entries):
        entry = reserved.get(account_id)
        if entry is None:
            errors[f"entries.{index}.accountId"] = ["Has no entry in this transaction."]
        elif (amount > 0) != (entry.amount > 0):
            errors[f"entries.{index}.amount"] = ["Must have the sign of the reserved amount."]
        elif abs(amount) > abs(entry.amount):
            excesses[f"entries.{index}.amount"] = [f"Must not exceed {entry.amount}."]
    if errors:
        raise ValidationFailed(details=errors)
    if excesses:
        raise AmountExceedsReserved(details=excesses)
