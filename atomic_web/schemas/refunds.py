"""Refunds on the wire."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.fields import CODE, RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.holds import some_of_it
from atomic_web.schemas.metadata import metadata_asked, metadata_shown

MAX_REASON: Final = 500

STATUSES: Final = ("PENDING", "PROCESSING", "SUCCESS", "FAILED")


class NewRefundSchema(RequestSchema):
    """The body of POST /payments/{id}/refunds."""

    amount = some_of_it("In minor units; all that is left of the payment if left out.")
    reason = fields.String(
        load_default=None, allow_none=False, validate=validate.Length(1, MAX_REASON)
    )
    metadata = metadata_asked()


class RefundSchema(ResponseSchema):
    """A refund, on its way out."""

    id = fields.UUID()
    payment_id = fields.UUID(data_key="paymentId")
    merchant_id = fields.UUID(data_key="merchantId")
    amount = fields.Integer(attribute="money.amount", validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(attribute="money.currency", validate=CODE)
    reason = fields.String(allow_none=True)
    status = fields.String(validate=validate.OneOf(STATUSES))
    failure_reason = fields.String(
        data_key="failureReason",
        allow_none=True,
        metadata={"description": "Why it is FAILED, such as `insufficient_balance`."},
    )
    idempotency_key = fields.String(data_key="idempotencyKey", allow_none=True)
    metadata = metadata_shown()
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")
