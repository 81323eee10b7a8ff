"""Examples of ledger transactions, as in `examples.py`."""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from atomic_core.domain.events import Event, EventType, StreamEvent
from atomic_core.domain.exchanges import RATE_KEY
from atomic_core.domain.journal import (
    DEFAULT_PENDING_PERIOD,
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
        JournalEntry(ACCOUNT.id, "USD", -1_500, 2, 3_500, -1_500),
        JournalEntry(_OTHER_ACCOUNT, "USD", 1_500, 1, 1_500, 1_500),
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
        JournalEntry(ACCOUNT.id, "USD", 1_500, 3, 5_000, 1_500),
        JournalEntry(_OTHER_ACCOUNT, "USD", -1_500, 2, 0, -1_500),
    ],
    description="Posted twice by mistake",
    external_id=None,
    reverses_id=TRANSACTION.id,
)

_POSITIONS: Final = [UUID(f"0199c0de-0000-7000-8000-00000000001{digit}") for digit in "67"]

NEW_EXCHANGE: Final[dict[str, Any]] = {
    "sourceAccountId": str(ACCOUNT.id),
    "sourcePositionId": str(_POSITIONS[0]),
    "targetPositionId": str(_POSITIONS[1]),
    "targetAccountId": str(_OTHER_ACCOUNT),
    "sourceAmount": 10_000,
    "rate": "0.92155",
}
EXCHANGE: Final = replace(
    TRANSACTION,
    entries=[
        JournalEntry(ACCOUNT.id, "USD", -10_000, 3, 40_000, -10_000),
        JournalEntry(_POSITIONS[0], "USD", 10_000, 8, 60_000, 10_000),
        JournalEntry(_POSITIONS[1], "EUR", -9_216, 5, 90_784, -9_216),
        JournalEntry(_OTHER_ACCOUNT, "EUR", 9_216, 1, 9_216, 9_216),
    ],
    description=None,
    metadata={RATE_KEY: "0.92155"},
    external_id=None,
)

PENDING: Final = replace(
    TRANSACTION,
    status=JournalStatus.PENDING,
    entries=[
        JournalEntry(ACCOUNT.id, "USD", -1_500, None, None, 0),
        JournalEntry(_OTHER_ACCOUNT, "USD", 1_500, None, None, 0),
    ],
    effective_at=None,
    posted_at=None,
    expires_at=ACCOUNT.created_at + DEFAULT_PENDING_PERIOD,
)
POSTED_IN_PART: Final = replace(
    PENDING,
    status=JournalStatus.POSTED,
    entries=[
        JournalEntry(ACCOUNT.id, "USD", -1_500, 2, 4_000, -1_000),
        JournalEntry(_OTHER_ACCOUNT, "USD", 1_500, 1, 1_000, 1_000),
    ],
    effective_at=ACCOUNT.created_at,
    posted_at=ACCOUNT.created_at,
    resolved_at=ACCOUNT.created_at,
)
VOIDED: Final = replace(PENDING, status=JournalStatus.VOIDED, resolved_at=ACCOUNT.created_at)

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
