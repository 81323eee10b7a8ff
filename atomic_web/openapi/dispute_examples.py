"""Examples of disputes, as in `examples.py`."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from atomic_core.domain.disputes import (
    Dispute,
    DisputeResponse,
    DisputeStatus,
    Evidence,
    describe_dispute,
)
from atomic_core.domain.events import Event, EventType, StreamEvent
from atomic_core.domain.money import Money
from atomic_web.openapi.examples import ACCOUNT, SUCCESS

NEW_EVIDENCE: Final[dict[str, Any]] = {
    "explanation": "The customer received the order and confirmed it by email.",
    "shippingCarrier": "Example Post",
    "shippingTrackingNumber": "EP123456789",
}

DISPUTE: Final = Dispute(
    id=UUID("0199c0de-0000-7000-8000-000000000016"),
    merchant_id=SUCCESS.merchant_id,
    payment_id=SUCCESS.id,
    account_id=ACCOUNT.id,
    network="sandbox",
    network_reference=f"dp_{SUCCESS.id.hex}",
    money=Money(5_000, "USD"),
    fee=1_500,
    reason="fraudulent",
    evidence_due_at=ACCOUNT.created_at + timedelta(days=7),
    created_at=ACCOUNT.created_at,
    updated_at=ACCOUNT.created_at,
)
CONTESTED: Final = replace(
    DISPUTE,
    evidence=Evidence(
        explanation=NEW_EVIDENCE["explanation"],
        shipping_carrier=NEW_EVIDENCE["shippingCarrier"],
        shipping_tracking_number=NEW_EVIDENCE["shippingTrackingNumber"],
    ),
    pending_response=DisputeResponse.EVIDENCE,
)
ACCEPTED: Final = replace(DISPUTE, pending_response=DisputeResponse.ACCEPTANCE)
WON: Final = replace(
    CONTESTED,
    status=DisputeStatus.WON,
    pending_response=None,
    closed_at=ACCOUNT.created_at + timedelta(days=30),
    updated_at=ACCOUNT.created_at + timedelta(days=30),
)

DISPUTE_EVENT: Final = StreamEvent(
    Event(
        SUCCESS.merchant_id,
        EventType.DISPUTE_OPENED,
        None,
        None,
        data=describe_dispute(DISPUTE),
    ),
    UUID("0199c0de-0000-7000-8000-000000000017"),
    126,
    ACCOUNT.created_at,
)
