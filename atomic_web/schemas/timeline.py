"""Response bodies of the payment timeline."""

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import (
    PAYMENT_EVENT_TYPE,
    TIMELINE_STATUS,
    TRANSACTION_KIND,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.origins import ActorSchema, build_server_request_id
from atomic_web.schemas.payments import PaymentSchema


class TimelineEntrySchema(ResponseSchema):
    """One entry in minor units; credits are positive, debits negative. Without its sequence number,
    because that of the World account would reveal the number of all merchants' payments."""

    account_id = fields.UUID(data_key="accountId")
    amount = fields.Integer()


class LedgerTransactionSchema(ResponseSchema):
    """A ledger transaction. Its entries sum to zero."""

    id = fields.UUID()
    kind = fields.String(validate=OneOfEnumeration(TRANSACTION_KIND))
    posted_at = Timestamp(data_key="postedAt")
    entries = fields.List(
        fields.Nested(TimelineEntrySchema()),
        allow_none=True,
        metadata={"description": "null if the API key lacks the scope `accounts:read`."},
    )


class TimelineEventSchema(ResponseSchema):
    """One event of a payment, or of one of its refunds or disputes."""

    at = Timestamp()
    event = fields.String(
        attribute="event.type.timeline_name",
        validate=OneOfEnumeration(PAYMENT_EVENT_TYPE),
    )
    status = fields.String(
        validate=OneOfEnumeration(TIMELINE_STATUS),
        metadata={
            "description": "The status after the event: of the refund if `refundId` is set, of the "
            "dispute if `disputeId` is."
        },
    )
    amount = fields.Integer(
        attribute="event.amount", allow_none=True, validate=validate.Range(1, MAX_AMOUNT)
    )
    reason = fields.String(attribute="event.reason", allow_none=True)
    attempt = fields.Integer(
        attribute="event.attempt",
        allow_none=True,
        metadata={"description": "Which call of the card network, counted from 1."},
    )
    refund_id = fields.UUID(attribute="event.refund_id", data_key="refundId", allow_none=True)
    dispute_id = fields.UUID(data_key="disputeId", allow_none=True)
    request_id = fields.String(
        attribute="event.request_id",
        data_key="requestId",
        allow_none=True,
        metadata={"description": "The X-Request-Id of the request that caused it."},
    )
    server_request_id = build_server_request_id("event.server_request_id")
    actor = fields.Nested(
        ActorSchema(),
        attribute="event.origin",
        allow_none=True,
        metadata={"description": "Who made the request; null if Atomic itself caused the event."},
    )
    transaction = fields.Nested(
        LedgerTransactionSchema(),
        attribute="posted",
        allow_none=True,
        metadata={"description": "The ledger transaction that it posted."},
    )


class TimelineSchema(ResponseSchema):
    payment = fields.Nested(PaymentSchema())
    events = fields.List(
        fields.Nested(TimelineEventSchema()),
        attribute="events",
        metadata={"description": "Oldest first."},
    )
