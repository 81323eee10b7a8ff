"""Response bodies of the stream of events."""

from marshmallow import fields, validate

from atomic_core.domain.lists import MAX_LIMIT
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import (
    ACCOUNT_TYPE,
    CURRENCY,
    EVENT_TYPE,
    FAILURE_REASON,
    PAYMENT_CANCELLATION_REASON,
    PAYMENT_STATUS,
    REFUND_STATUS,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import OneOfSchemas, ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema
from atomic_web.schemas.metadata import build_metadata_output


class EventPaymentSchema(ResponseSchema):
    """The `data` of `payment.…` events: the payment directly after the event."""

    id = fields.UUID()
    status = fields.String(validate=OneOfEnumeration(PAYMENT_STATUS))
    amount = fields.Integer(validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    amount_captured = fields.Integer(
        data_key="amountCaptured",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "0 unless the payment is SUCCESS."},
    )
    fee = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "The part of `amountCaptured` that is not credited."},
    )
    failure_reason = fields.String(
        data_key="failureReason",
        allow_none=True,
        validate=OneOfEnumeration(FAILURE_REASON),
        metadata={"description": "null unless the payment is FAILED."},
    )
    cancellation_reason = fields.String(
        data_key="cancellationReason",
        allow_none=True,
        validate=OneOfEnumeration(PAYMENT_CANCELLATION_REASON),
        metadata={"description": "null unless the payment is or will be CANCELED."},
    )
    metadata = build_metadata_output()


class EventRefundSchema(ResponseSchema):
    """The `data` of `refund.…` events: the refund directly after the event."""

    id = fields.UUID()
    payment_id = fields.UUID(data_key="paymentId")
    status = fields.String(validate=OneOfEnumeration(REFUND_STATUS))
    amount = fields.Integer(validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    reason = fields.String(allow_none=True)
    failure_reason = fields.String(
        data_key="failureReason",
        allow_none=True,
        validate=OneOfEnumeration(FAILURE_REASON),
        metadata={"description": "null unless the refund is FAILED."},
    )
    metadata = build_metadata_output()


class EventAccountSchema(ResponseSchema):
    """The `data` of `account.…` events: what never changes of the account."""

    id = fields.UUID()
    name = fields.String()
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    type = fields.String(validate=OneOfEnumeration(ACCOUNT_TYPE))


class EventSchema(ResponseSchema):
    """An event of the merchant's stream. It never changes."""

    id = fields.UUID()
    sequence = fields.Integer(
        validate=validate.Range(1),
        metadata={"description": "1, 2, 3 … without gaps, per merchant, in the order of commits."},
    )
    type = fields.String(attribute="event.type", validate=OneOfEnumeration(EVENT_TYPE))
    occurred_at = Timestamp(data_key="occurredAt")
    payment_id = fields.UUID(
        attribute="event.payment_id",
        data_key="paymentId",
        allow_none=True,
        metadata={"description": "null if the event is an account's."},
    )
    refund_id = fields.UUID(
        attribute="event.refund_id",
        data_key="refundId",
        allow_none=True,
        metadata={"description": "null unless the event is a refund's."},
    )
    data = OneOfSchemas(
        EventPaymentSchema(),
        EventRefundSchema(),
        EventAccountSchema(),
        attribute="event.data",
        metadata={
            "description": "An EventPayment if `type` begins with `payment.`, an EventRefund if it"
            " begins with `refund.`, an EventAccount if it begins with `account.`."
        },
    )
    request_id = fields.String(
        attribute="event.request_id",
        data_key="requestId",
        allow_none=True,
        metadata={"description": "The X-Request-Id of the request that caused it."},
    )


class EventPageSchema(PageSchema):
    """A page of the stream."""

    items = fields.List(fields.Nested(EventSchema()), validate=validate.Length(0, MAX_LIMIT))
