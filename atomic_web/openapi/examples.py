"""Things to show. Domain objects, so that the schemas that answer callers dump them here too."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment, Status

META: Final = {
    "timestamp": "2026-11-22T15:30:13.153Z",
    "requestId": "7c4a2f9e-3b0d-4f6a-9c1e-5d8b7a60f213",
}

_MOMENT: Final = datetime(2026, 11, 22, 15, 30, 13, 153_000, tzinfo=UTC)
_MERCHANT: Final = UUID("0199c0de-0000-7000-8000-00000000000a")

ACCOUNT: Final = Account(
    id=UUID("0199c0de-0000-7000-8000-000000000002"),
    merchant_id=_MERCHANT,
    name="Sales",
    currency="USD",
    allow_negative=False,
    balance=0,
    sequence=0,
    head=bytes(32),
    created_at=_MOMENT,
)

PENDING: Final = Payment(
    id=UUID("0199c0de-0000-7000-8000-000000000001"),
    merchant_id=_MERCHANT,
    account_id=ACCOUNT.id,
    money=Money(5_000, "USD"),
    source="tok_visa",
    description="Order 4711",
    status=Status.PENDING,
    idempotency_key="4f0a9e52-7a55-4d0c-b6a5-0c7d6cf6f6a1",
    webhook_url=None,
    failure_reason=None,
    created_at=_MOMENT,
    updated_at=_MOMENT,
)
SUCCESS: Final = replace(PENDING, status=Status.SUCCESS)
FAILED: Final = replace(
    PENDING,
    source="tok_chargeDeclined",
    status=Status.FAILED,
    failure_reason="card_declined",
)

NEW_PAYMENT: Final = {
    "amount": 5_000,
    "currency": "USD",
    "source": "tok_visa",
    "description": "Order 4711",
}
NEW_ACCOUNT: Final = {"name": "Sales", "currency": "USD"}
