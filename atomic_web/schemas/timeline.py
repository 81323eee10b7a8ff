"""The story of a payment, on the wire."""

from marshmallow import fields, validate

from atomic_core.domain.events import Event
from atomic_core.domain.ledger import Kind
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Status
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.payments import PaymentSchema


class TimelineEntrySchema(ResponseSchema):
    """One leg: credits are positive, debits negative, in minor units. Without its place among the
    account's entries: World's would tell how many payments the house has."""

    account_id = fields.UUID(data_key="accountId")
    amount = fields.Integer()


class PostedSchema(ResponseSchema):
    """A ledger transaction. Its entries sum to zero."""

    id = fields.UUID()
    kind = fields.String(validate=validate.OneOf([kind.value for kind in Kind]))
    posted_at = Timestamp(data_key="postedAt")
    entries = fields.List(fields.Nested(TimelineEntrySchema()))


class ToldSchema(ResponseSchema):
    """One thing that happened."""

    at = Timestamp()
    event = fields.String(
        attribute="event.event", validate=validate.OneOf([event.value for event in Event])
    )
    status = fields.String(
        attribute="event.status",
        validate=validate.OneOf([status.value for status in Status]),
        metadata={"description": "After it: the payment's, or the refund's if it is one's."},
    )
    amount = fields.Integer(
        attribute="event.amount", allow_none=True, validate=validate.Range(1, MAX_AMOUNT)
    )
    reason = fields.String(attribute="event.reason", allow_none=True)
    attempt = fields.Integer(
        attribute="event.attempt",
        allow_none=True,
        metadata={"description": "How often it had been taken up by then."},
    )
    refund_id = fields.UUID(attribute="event.refund_id", data_key="refundId", allow_none=True)
    request_id = fields.String(
        attribute="event.request_id",
        data_key="requestId",
        allow_none=True,
        metadata={"description": "The X-Request-Id of the request that asked for it."},
    )
    transaction = fields.Nested(
        PostedSchema(),
        attribute="posted",
        allow_none=True,
        metadata={"description": "What it did to the books."},
    )


class TimelineSchema(ResponseSchema):
    payment = fields.Nested(PaymentSchema())
    events = fields.List(
        fields.Nested(ToldSchema()),
        attribute="told",
        metadata={"description": "In the order of their times."},
    )
