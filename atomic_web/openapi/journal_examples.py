"""Examples of ledger transactions, as in `examples.py`."""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from atomic_core.domain.events import Event, EventType, StreamEvent
from atomic_core.domain.journal import (
    JournalEntry,
    JournalStatus,
    JournalTransaction,
    describe_transaction,
)
from atomic_web.openapi.examples import ACCOUNT

_OTHER_ACCOUNT: Final = UUID("0199c0de-0000-7000-8000-000000000012")
_MERCHANT: Final = UUID("0199c0de-0000-7000-8000-00000000000a")

NEW_TRANSACTION: Final[dict[str, Any]] = {
    "entries": [
        {"accountId": str(ACCOUNT.id), "amount": -1_500},
        {"accountId": str(_OTHER_ACCOUNT), "amount": 1_500},
    ],
    "description": "Share of the seller",
    "externalId": "order-4711-seller",
}

TRANSACTION: Final = JournalTransaction(
    id=UUID("0199c0de-0000-7000-8000-000000000013"),
    merchant_id=_MERCHANT,
    status=JournalStatus.POSTED,
    entries=[
        JournalEntry(ACCOUNT.id, "USD", -1_500, 2, 3_500),
        JournalEntry(_OTHER_ACCOUNT, "USD", 1_500, 1, 1_500),
    ],
    description="Share of the seller",
    metadata={},
    external_id="order-4711-seller",
    effective_at=ACCOUNT.created_at,
    created_at=ACCOUNT.created_at,
    posted_at=ACCOUNT.created_at,
)
REVERSAL: Final = replace(
    TRANSACTION,
    id=UUID("0199c0de-0000-7000-8000-000000000014"),
    entries=[
        JournalEntry(ACCOUNT.id, "USD", 1_500, 3, 5_000),
        JournalEntry(_OTHER_ACCOUNT, "USD", -1_500, 2, 0),
    ],
    description="Posted twice by mistake",
    external_id=None,
    reverses_id=TRANSACTION.id,
)

TRANSACTION_EVENT: Final = StreamEvent(
    Event(
        _MERCHANT,
        EventType.LEDGER_TRANSACTION_POSTED,
        None,
        None,
        data=describe_transaction(TRANSACTION),
    ),
    UUID("0199c0de-0000-7000-8000-000000000015"),
    125,
    ACCOUNT.created_at,
)
