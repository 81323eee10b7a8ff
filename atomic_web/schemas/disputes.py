"""Request and response bodies of disputes."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import (
    CURRENCY,
    DISPUTE_RESPONSE,
    DISPUTE_STATUS,
    RESPONSE_FAILURE,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import INVALID_LENGTH, RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema, build_items_field
from atomic_web.schemas.payments import MAX_REFERENCE

MAX_TEXT: Final = 5_000
"""Characters of one text of the evidence."""


def _build_text(data_key: str, description: str) -> fields.String:
    return fields.String(
        data_key=data_key,
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, MAX_TEXT, error=INVALID_LENGTH),
        metadata={"description": description},
    )


class NewEvidenceSchema(RequestSchema):
    """The body of POST /disputes/{id}/evidence."""

    explanation = fields.String(
        required=True,
        validate=validate.Length(1, MAX_TEXT, error=INVALID_LENGTH),
        metadata={"description": "Why the payment is valid."},
    )
    product_description = _build_text("productDescription", "What was sold.")
    customer_name = _build_text("customerName", "The customer's name.")
    customer_email = _build_text("customerEmail", "The customer's email address.")
    shipping_carrier = _build_text("shippingCarrier", "Who delivered it.")
    shipping_tracking_number = _build_text("shippingTrackingNumber", "The carrier's number.")
    shipping_date = _build_text("shippingDate", "When it was sent.")
    service_date = _build_text("serviceDate", "When the service was provided.")
    refund_policy = _build_text("refundPolicy", "As the customer has seen it.")
    access_activity_log = _build_text("accessActivityLog", "When the customer used it.")


class AcceptanceSchema(RequestSchema):
    """The body of POST /disputes/{id}/accept: empty."""


class EvidenceSchema(ResponseSchema):
    """What was sent to the card network, or is to be."""

    explanation = fields.String(allow_none=True)
    product_description = fields.String(data_key="productDescription", allow_none=True)
    customer_name = fields.String(data_key="customerName", allow_none=True)
    customer_email = fields.String(data_key="customerEmail", allow_none=True)
    shipping_carrier = fields.String(data_key="shippingCarrier", allow_none=True)
    shipping_tracking_number = fields.String(data_key="shippingTrackingNumber", allow_none=True)
    shipping_date = fields.String(data_key="shippingDate", allow_none=True)
    service_date = fields.String(data_key="serviceDate", allow_none=True)
    refund_policy = fields.String(data_key="refundPolicy", allow_none=True)
    access_activity_log = fields.String(data_key="accessActivityLog", allow_none=True)


class DisputeSchema(ResponseSchema):
    id = fields.UUID()
    payment_id = fields.UUID(data_key="paymentId")
    merchant_id = fields.UUID(data_key="merchantId")
    account_id = fields.UUID(
        data_key="accountId", metadata={"description": "The account that was debited."}
    )
    status = fields.String(validate=OneOfEnumeration(DISPUTE_STATUS))
    amount = fields.Integer(
        attribute="money.amount",
        validate=validate.Range(1, MAX_AMOUNT),
        metadata={"description": "What is disputed: the payment, or a part of it."},
    )
    currency = fields.String(attribute="money.currency", validate=OneOfEnumeration(CURRENCY))
    fee = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "The card network's, debited with the amount."},
    )
    fee_returned = fields.Integer(
        data_key="feeReturned",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "The part of the fee that was credited with a won dispute."},
    )
    reason = fields.String(
        metadata={"description": "The card network's word, such as `fraudulent`."}
    )
    network = fields.String(metadata={"description": "The card network of the payment."})
    network_reference = fields.String(
        data_key="networkReference",
        validate=validate.Length(1, MAX_REFERENCE),
        metadata={"description": "The card network's id of the dispute."},
    )
    evidence_due_at = Timestamp(
        data_key="evidenceDueAt",
        allow_none=True,
        metadata={"description": "Until when the card network takes evidence."},
    )
    evidence = fields.Nested(EvidenceSchema(), allow_none=True)
    pending_response = fields.String(
        data_key="pendingResponse",
        allow_none=True,
        validate=OneOfEnumeration(DISPUTE_RESPONSE),
        metadata={"description": "What is to be sent to the card network; null once it has it."},
    )
    response_failure = fields.String(
        data_key="responseFailure",
        allow_none=True,
        validate=OneOfEnumeration(RESPONSE_FAILURE),
        metadata={"description": "Why the last response was not taken."},
    )
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")
    closed_at = Timestamp(
        data_key="closedAt",
        allow_none=True,
        metadata={"description": "When it was won or lost."},
    )


class DisputePageSchema(PageSchema):
    items = build_items_field(DisputeSchema())
