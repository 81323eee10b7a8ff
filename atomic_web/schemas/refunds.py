"""Request and response bodies of refunds."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import (
    CURRENCY,
    FAILURE_REASON,
    REFUND_STATUS,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import INVALID_LENGTH, RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.holds import build_optional_amount_field
from atomic_web.schemas.metadata import build_metadata_input, build_metadata_output
from atomic_web.schemas.payments import MAX_REFERENCE

MAX_REASON: Final = 500


class NewRefundSchema(RequestSchema):
    """The body of POST /payments/{id}/refunds."""

    amount = build_optional_amount_field("In minor units. Default: all that is not refunded yet.")
    reason = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, MAX_REASON, error=INVALID_LENGTH),
    )
    metadata = build_metadata_input()


class RefundSchema(ResponseSchema):
    id = fields.UUID()
    payment_id = fields.UUID(data_key="paymentId")
    merchant_id = fields.UUID(data_key="merchantId")
    account_id = fields.UUID(
        data_key="accountId", metadata={"description": "Your account that is debited."}
    )
    amount = fields.Integer(attribute="money.amount", validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(attribute="money.currency", validate=OneOfEnumeration(CURRENCY))
    reason = fields.String(allow_none=True)
    status = fields.String(validate=OneOfEnumeration(REFUND_STATUS))
    failure_reason = fields.String(
        data_key="failureReason",
        allow_none=True,
        validate=OneOfEnumeration(FAILURE_REASON),
        metadata={"description": "null unless the refund is FAILED."},
    )
    idempotency_key = fields.String(data_key="idempotencyKey", allow_none=True)
    network_reference = fields.String(
        data_key="networkReference",
        allow_none=True,
        validate=validate.Length(1, MAX_REFERENCE),
        metadata={
            "description": "The card network's id of the refund, such as Stripe's re_…; null until "
            "the network has decided, and of networks without ids, such as the sandbox."
        },
    )
    is_in_doubt = fields.Boolean(
        data_key="inDoubt",
        metadata={"description": "Whether `inDoubtSince` is set."},
    )
    in_doubt_since = Timestamp(
        data_key="inDoubtSince",
        allow_none=True,
        metadata={
            "description": "Since when it is not known whether the card network has processed the "
            "refund; null if it is known. Its amount stays reserved."
        },
    )
    metadata = build_metadata_output()
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")
