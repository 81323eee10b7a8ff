"""Payments as they are asked for and as they are answered, alone or many at once."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from atomic_core.domain.errors import Forbidden
from atomic_core.domain.idempotency import STORE_TIME, StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Capture, InsertedPayment, NewPayment, PaymentInsert
from atomic_web.context import BASE_PATH, request_context
from atomic_web.http.responses import envelope
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

PATH: Final = f"{BASE_PATH}/payments"

_asked: Final = NewPaymentSchema()
_shown: Final = PaymentSchema()

_NOT_SHOWN: Final = UUID(int=0)
_NOT_KNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STORE_TIME: Final = orjson.Fragment(b'"' + STORE_TIME + b'"')
"""Taken over as it is; in a text, a NUL would be escaped."""


def parse_payment_request(content: dict[str, Any], key: str | None) -> NewPayment:
    """A payment as it is asked for. Raises ValidationFailed, Forbidden."""
    asked = _asked.read(content)
    context = request_context()
    caller = context.merchant_id
    if "merchant_id" in asked and asked["merchant_id"] != str(caller):
        raise Forbidden("merchantId must be the merchant this API key belongs to.")
    return NewPayment(
        merchant_id=caller,
        money=Money(asked["amount"], asked["currency"]),
        source=asked["source"],
        description=asked["description"],
        webhook_url=asked["webhook_url"],
        idempotency_key=key,
        capture=Capture(asked["capture"]),
        metadata=asked["metadata"],
        request_id=context.request_id,
    )


def accepted(payment_id: UUID, order: NewPayment, moment: datetime | None) -> StoredResponse:
    """The answer to an accepted payment (see `RenderPayment`)."""
    recorded = InsertedPayment(_NOT_SHOWN, moment or _NOT_KNOWN)
    shown = _shown.dump(PaymentInsert(payment_id, order).recorded(recorded))
    if moment is None:
        shown["createdAt"] = shown["updatedAt"] = _STORE_TIME
    return StoredResponse(202, envelope(shown), f"{PATH}/{payment_id}")
