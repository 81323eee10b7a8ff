"""Request and response bodies, and query parameters, of webhooks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.events import EventType
from atomic_core.domain.lists import MAX_LIMIT
from atomic_core.domain.webhook_urls import MAX_URL_LENGTH
from atomic_core.domain.webhooks import (
    MAX_DESCRIPTION,
    MAX_EVENT_TYPES,
    SECRET_PREFIX,
    DeliveryFilter,
    DeliveryStatus,
)
from atomic_web.http.query import Parameter
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.enumerations import (
    DELIVERY_STATUS,
    EVENT_TYPE,
    EVENT_TYPE_FILTER,
    WEBHOOK_DISABLED_REASON,
    WEBHOOK_ENDPOINT_STATUS,
    OneOfEnumeration,
)
from atomic_web.schemas.event_filters import MAX_SEQUENCE, expand_types
from atomic_web.schemas.fields import (
    INVALID_LENGTH,
    RequestSchema,
    ResponseSchema,
    StrictBoolean,
    Timestamp,
)
from atomic_web.schemas.filters import CREATED_FROM, CREATED_TO, PAGE_QUERY, parse_member
from atomic_web.schemas.lists import PageSchema
from atomic_web.schemas.times import check_time

_EVENT_TYPES: Final = "The types of events to send; an empty list for every type. `payment.*` means"
_EVENT_TYPES_DESCRIPTION: Final = f"{_EVENT_TYPES} all types that begin so."
_ORDERED_DESCRIPTION: Final = (
    "Send events strictly in the order of their sequence numbers: each after the success, or the"
    " last failure, of the one before."
)


@describe_validator({"maxItems": MAX_EVENT_TYPES, "uniqueItems": True})
def check_event_types(event_types: Sequence[str]) -> None:
    if len(event_types) > MAX_EVENT_TYPES or len(set(event_types)) != len(event_types):
        raise ValidationError(f"Must be up to {MAX_EVENT_TYPES} different entries.")


def _build_url(*, required: bool) -> fields.String:
    return fields.String(
        required=required,
        validate=validate.Length(1, MAX_URL_LENGTH, error=INVALID_LENGTH),
        metadata={
            "format": "uri",
            "description": "A public http or https URL without user information. Loopback, private"
            " and other special addresses and host names are refused.",
        },
    )


def _build_event_types() -> fields.List:
    return fields.List(
        fields.String(validate=OneOfEnumeration(EVENT_TYPE_FILTER)),
        data_key="eventTypes",
        validate=check_event_types,
        metadata={"description": _EVENT_TYPES_DESCRIPTION},
    )


def _build_description() -> fields.String:
    return fields.String(validate=validate.Length(0, MAX_DESCRIPTION, error=INVALID_LENGTH))


def _build_ordered() -> StrictBoolean:
    return StrictBoolean(
        data_key="ordered",
        metadata={"description": f"{_ORDERED_DESCRIPTION} Default: false."},
    )


class NewWebhookEndpointSchema(RequestSchema):
    """The body of POST /webhook-endpoints."""

    url = _build_url(required=True)
    event_types = _build_event_types()
    description = _build_description()
    is_ordered = _build_ordered()


class WebhookEndpointUpdateSchema(RequestSchema):
    """The body of PATCH /webhook-endpoints/{id}. What is absent does not change."""

    url = _build_url(required=False)
    event_types = _build_event_types()
    description = _build_description()
    is_ordered = _build_ordered()
    status = fields.String(
        validate=OneOfEnumeration(WEBHOOK_ENDPOINT_STATUS),
        metadata={"description": "One that is enabled again goes on where it stopped."},
    )


class ReplaySchema(RequestSchema):
    """The body of POST /webhook-endpoints/{id}/replay: one of both members."""

    from_sequence = fields.Integer(
        data_key="fromSequence",
        strict=True,
        validate=validate.Range(1, MAX_SEQUENCE),
        metadata={"description": "The sequence number of the first event to send again."},
    )
    since = fields.String(
        validate=check_time,
        metadata={
            "description": "Send again what occurred at this time or later. An RFC 3339 time, or a "
            "date for the start of its day in UTC."
        },
    )


class WebhookEndpointSchema(ResponseSchema):
    """Where a merchant's events are sent."""

    id = fields.UUID()
    url = fields.String(
        allow_none=True,
        metadata={
            "description": "null for the endpoint of the payments that have a `webhookUrl` of their"
            " own, which get their events and those of their refunds."
        },
    )
    event_types = fields.List(
        fields.String(validate=OneOfEnumeration(EVENT_TYPE_FILTER)),
        attribute="listed_event_types",
        data_key="eventTypes",
        validate=validate.Length(0, MAX_EVENT_TYPES),
        metadata={"description": "Empty for every type."},
    )
    description = fields.String()
    is_ordered = fields.Boolean(data_key="ordered", metadata={"description": _ORDERED_DESCRIPTION})
    status = fields.String(validate=OneOfEnumeration(WEBHOOK_ENDPOINT_STATUS))
    disabled_reason = fields.String(
        data_key="disabledReason",
        allow_none=True,
        validate=OneOfEnumeration(WEBHOOK_DISABLED_REASON),
        metadata={"description": "null unless the endpoint is disabled."},
    )
    position = fields.Integer(
        validate=validate.Range(0),
        metadata={
            "description": "The sequence number up to which each event was sent at least once, or"
            " does not match `eventTypes`."
        },
    )
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")


class IssuedWebhookEndpointSchema(ResponseSchema):
    """An endpoint with a new signing secret, in the only response that contains it."""

    endpoint = fields.Nested(WebhookEndpointSchema())
    secret = fields.String(
        allow_none=True,
        validate=validate.Regexp(f"^{SECRET_PREFIX}[A-Za-z0-9+/]{{43}}=$"),
        metadata={"description": "null in a replay with the same Idempotency-Key."},
    )


class WebhookTestSchema(ResponseSchema):
    """What came back for a `ping`."""

    is_success = fields.Boolean(data_key="delivered")
    status_code = fields.Integer(
        data_key="statusCode",
        allow_none=True,
        metadata={"description": "null unless the receiver answered completely and in time."},
    )
    duration_ms = fields.Integer(data_key="durationMs")
    error = fields.String(allow_none=True)
    response = fields.String(
        metadata={"description": "The beginning of the answer's body: up to 1 KiB."}
    )


class DeliverySchema(ResponseSchema):
    """One event for one endpoint."""

    id = fields.UUID()
    endpoint_id = fields.UUID(data_key="endpointId")
    event_id = fields.UUID(
        data_key="eventId", metadata={"description": "Also the `webhook-id` of each attempt."}
    )
    sequence = fields.Integer(validate=validate.Range(1))
    type = fields.String(validate=OneOfEnumeration(EVENT_TYPE))
    url = fields.String(metadata={"description": "To which the latest attempt was sent."})
    status = fields.String(validate=OneOfEnumeration(DELIVERY_STATUS))
    attempts = fields.Integer(validate=validate.Range(1))
    next_attempt_at = Timestamp(
        data_key="nextAttemptAt",
        allow_none=True,
        metadata={"description": "null unless the delivery is pending."},
    )
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")


class DeliveryPageSchema(PageSchema):
    """A page of an endpoint's deliveries."""

    items = fields.List(
        fields.Nested(DeliverySchema()),
        validate=validate.Length(0, MAX_LIMIT),
        metadata={"description": "Newest first."},
    )


class DeliveryAttemptSchema(ResponseSchema):
    """One attempt to send an event."""

    number = fields.Integer(validate=validate.Range(1))
    at = Timestamp()
    status_code = fields.Integer(data_key="statusCode", allow_none=True)
    duration_ms = fields.Integer(data_key="durationMs")
    error = fields.String(
        allow_none=True, metadata={"description": "In words; null after a 2xx answer."}
    )
    response = fields.String(
        metadata={"description": "The beginning of the answer's body: up to 1 KiB."}
    )


class DeliveryDetailsSchema(ResponseSchema):
    """A delivery with its latest attempts, oldest first."""

    delivery = fields.Nested(DeliverySchema())
    attempts = fields.List(fields.Nested(DeliveryAttemptSchema()))


DELIVERY_STATUS_FILTER: Final = Parameter(
    name="status",
    attribute="statuses",
    parse=lambda text: parse_member(text, DELIVERY_STATUS),
    schema={"type": "array", "items": DELIVERY_STATUS.reference},
    description="May be repeated, to match any of several.",
    example=["failed"],
    component="deliveryStatus",
    is_repeatable=True,
)
DELIVERY_TYPE_FILTER: Final = Parameter(
    name="type",
    attribute="types",
    parse=lambda text: parse_member(text, EVENT_TYPE_FILTER),
    schema={"type": "array", "items": EVENT_TYPE_FILTER.reference},
    description="May be repeated, to match any of several. `payment.*` matches all types that begin"
    " so.",
    example=["payment.succeeded", "refund.*"],
    component="deliveryType",
    is_repeatable=True,
)
DELIVERY_QUERY: Final = (
    *PAGE_QUERY,
    DELIVERY_STATUS_FILTER,
    DELIVERY_TYPE_FILTER,
    CREATED_FROM,
    CREATED_TO,
)


def build_delivery_filter(values: Mapping[str, Any]) -> DeliveryFilter:
    """From the values of DELIVERY_QUERY without those of the page."""
    types: frozenset[EventType] = expand_types(values.get("types", ()))
    return DeliveryFilter(
        frozenset(DeliveryStatus(status) for status in values.get("statuses", ())),
        types,
        values.get("created_from"),
        values.get("created_to"),
    )
