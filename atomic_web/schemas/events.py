"""Response bodies of the stream of events."""

from marshmallow import fields, validate

from atomic_core.domain.lists import MAX_LIMIT
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import (
    ACCOUNT_STATUS,
    ACCOUNT_TYPE,
    CURRENCY,
    DISPUTE_RESPONSE,
    DISPUTE_STATUS,
    EVENT_TYPE,
    FAILURE_REASON,
    LEDGER_TRANSACTION_STATUS,
    PAYMENT_CANCELLATION_REASON,
    PAYMENT_STATUS,
    REFUND_STATUS,
    RESPONSE_FAILURE,
    WEBHOOK_DISABLED_REASON,
    WEBHOOK_ENDPOINT_STATUS,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import OneOfSchemas, ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema
from atomic_web.schemas.metadata import build_metadata_output
from atomic_web.schemas.origins import ActorSchema, build_server_request_id


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
    """The `data` of `account.…` events: the account directly after the event, without its balance.
    Those before migration 0040 end with `type`."""

    id = fields.UUID()
    name = fields.String()
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    type = fields.String(validate=OneOfEnumeration(ACCOUNT_TYPE))
    status = fields.String(validate=OneOfEnumeration(ACCOUNT_STATUS))
    min_balance = fields.Integer(data_key="minBalance", allow_none=True)
    max_balance = fields.Integer(data_key="maxBalance", allow_none=True)
    external_id = fields.String(data_key="externalId", allow_none=True)
    metadata = build_metadata_output()


class EventLedgerEntrySchema(ResponseSchema):
    """An entry of a ledger transaction."""

    account_id = fields.UUID(data_key="accountId")
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    amount = fields.Integer(validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT))
    posted_amount = fields.Integer(
        data_key="postedAmount", validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT)
    )
    balance_after = fields.Integer(
        data_key="balanceAfter",
        allow_none=True,
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
    )


class EventLedgerTransactionSchema(ResponseSchema):
    """The `data` of `ledger_transaction.…` events: the transaction directly after the event."""

    id = fields.UUID()
    status = fields.String(validate=OneOfEnumeration(LEDGER_TRANSACTION_STATUS))
    entries = fields.List(fields.Nested(EventLedgerEntrySchema()))
    description = fields.String(allow_none=True)
    metadata = build_metadata_output()
    external_id = fields.String(data_key="externalId", allow_none=True)
    effective_at = Timestamp(data_key="effectiveAt", allow_none=True)
    expires_at = Timestamp(data_key="expiresAt", allow_none=True)
    reverses_id = fields.UUID(data_key="reversesId", allow_none=True)


class EventDisputeSchema(ResponseSchema):
    """The `data` of `dispute.…` events: the dispute directly after the event."""

    id = fields.UUID()
    payment_id = fields.UUID(data_key="paymentId")
    status = fields.String(validate=OneOfEnumeration(DISPUTE_STATUS))
    amount = fields.Integer(validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    fee = fields.Integer(validate=validate.Range(0, MAX_AMOUNT))
    fee_returned = fields.Integer(data_key="feeReturned", validate=validate.Range(0, MAX_AMOUNT))
    reason = fields.String()
    evidence_due_at = Timestamp(data_key="evidenceDueAt", allow_none=True)
    pending_response = fields.String(
        data_key="pendingResponse", allow_none=True, validate=OneOfEnumeration(DISPUTE_RESPONSE)
    )
    response_failure = fields.String(
        data_key="responseFailure", allow_none=True, validate=OneOfEnumeration(RESPONSE_FAILURE)
    )


class EventWebhookEndpointSchema(ResponseSchema):
    """The `data` of `webhook_endpoint.…` events: the endpoint directly after the event."""

    id = fields.UUID()
    url = fields.String(allow_none=True)
    description = fields.String()
    status = fields.String(validate=OneOfEnumeration(WEBHOOK_ENDPOINT_STATUS))
    disabled_reason = fields.String(
        data_key="disabledReason",
        allow_none=True,
        validate=OneOfEnumeration(WEBHOOK_DISABLED_REASON),
    )


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
        metadata={"description": "null unless the event is a payment's or a refund's."},
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
        EventLedgerTransactionSchema(),
        EventDisputeSchema(),
        EventWebhookEndpointSchema(),
        attribute="event.data",
        metadata={
            "description": "An EventPayment if `type` begins with `payment.`, an EventRefund if it"
            " begins with `refund.`, an EventAccount if it begins with `account.`, an"
            " EventLedgerTransaction if it begins with `ledger_transaction.`, an"
            " EventDispute if it begins with `dispute.`, an EventWebhookEndpoint if it begins with"
            " `webhook_endpoint.`."
        },
    )
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


class EventPageSchema(PageSchema):
    """A page of the stream."""

    items = fields.List(fields.Nested(EventSchema()), validate=validate.Length(0, MAX_LIMIT))
