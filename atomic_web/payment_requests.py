"""Payment requests: parsed and rendered the same way alone and in a batch."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from atomic_core.domain.errors import UnknownTestToken
from atomic_core.domain.idempotency import (
    ACCOUNT_ID_PLACEHOLDER,
    COMMIT_TIME_PLACEHOLDER,
    StoredResponse,
)
from atomic_core.domain.money import Money
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import CaptureMethod, InsertedPayment, NewPayment, PaymentInsert
from atomic_web.context import BASE_PATH, request_context
from atomic_web.errors import OtherMerchantGiven
from atomic_web.http.responses import render_envelope
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

PATH: Final = f"{BASE_PATH}/payments"

_request_schema: Final = NewPaymentSchema()
_response_schema: Final = PaymentSchema()

_UNUSED: Final = InsertedPayment(UUID(int=0), datetime(1970, 1, 1, tzinfo=UTC))
_STORE_TIME: Final = orjson.Fragment(b'"' + COMMIT_TIME_PLACEHOLDER + b'"')
"""A fragment, because orjson would escape the NUL of a string."""
_STORE_ACCOUNT_ID: Final = orjson.Fragment(b'"' + ACCOUNT_ID_PLACEHOLDER + b'"')


def parse_payment_request(content: dict[str, Any], key: str | None, origin: Origin) -> NewPayment:
    """Raises ValidationFailed, UnknownTestToken, and OtherMerchantGiven."""
    values = _request_schema.parse(content)
    context = request_context()
    merchant_id = context.merchant_id
    if "merchant_id" in values and values["merchant_id"] != str(merchant_id):
        raise OtherMerchantGiven
    meant_token = context.application.payments.find_meant_source(values["source"])
    if meant_token is not None:
        # A mistyped test token would succeed, and the test of a decline with it.
        raise UnknownTestToken(
            details={"source": [f"Is no test token. Did you mean {meant_token}?"]}
        )
    return NewPayment(
        merchant_id=merchant_id,
        money=Money(values["amount"], values["currency"]),
        source=values["source"],
        description=values["description"],
        webhook_url=values["webhook_url"],
        idempotency_key=key,
        capture=CaptureMethod(values["capture"]),
        metadata=values["metadata"],
        origin=origin,
    )


def render_accepted_payment(
    payment_id: UUID, new_payment: NewPayment, inserted: InsertedPayment | None
) -> StoredResponse:
    """The response to an accepted payment (see `RenderPayment`). Before the payment is inserted,
    its account and times are placeholders."""
    payment = PaymentInsert(payment_id, new_payment).to_payment(inserted or _UNUSED)
    data = _response_schema.dump(payment)
    if inserted is None:
        data["accountId"] = _STORE_ACCOUNT_ID
        data["createdAt"] = data["updatedAt"] = _STORE_TIME
    return StoredResponse(202, render_envelope(data), f"{PATH}/{payment_id}")
