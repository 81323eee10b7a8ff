"""/webhook-endpoints: where a merchant's events are sent."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.webhooks import (
    MAX_ENDPOINTS,
    SECRET_OVERLAP,
    EndpointChange,
    EndpointStatus,
    WebhookEndpoint,
)
from atomic_core.use_cases.webhook_deliveries import ReplayRequest
from atomic_core.use_cases.webhook_endpoints import (
    MAX_PINGS,
    EndpointReference,
    EndpointRequest,
    EndpointUpdate,
    IssuedEndpoint,
)
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
    redact,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object, read_optional_json_object
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, WEBHOOK_CONFLICT
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.times import parse_time
from atomic_web.schemas.webhooks import (
    IssuedWebhookEndpointSchema,
    NewWebhookEndpointSchema,
    ReplaySchema,
    WebhookEndpointSchema,
    WebhookEndpointUpdateSchema,
    WebhookTestSchema,
)

views = Blueprint("webhook_endpoints", __name__, url_prefix="/webhook-endpoints")

SECRET: Final = "secret"  # noqa: S105  the name of a member

_request_schema: Final = NewWebhookEndpointSchema()
_update_schema: Final = WebhookEndpointUpdateSchema()
_replay_schema: Final = ReplaySchema()
_issued_schema: Final = IssuedWebhookEndpointSchema()
_response_schema: Final = WebhookEndpointSchema()
_list_schema: Final = WebhookEndpointSchema(many=True)
_test_schema: Final = WebhookTestSchema()

_ENDPOINT: Final = {"endpoint": examples.WEBHOOK_ENDPOINT}
_OVERLAP_HOURS: Final = int(SECRET_OVERLAP.total_seconds() / 3_600)

CREATE: Final = Operation(
    id="createWebhookEndpoint",
    summary="Add a webhook endpoint",
    description="It gets the events that occur from now on, signed after Standard Webhooks. A "
    f"merchant has at most {MAX_ENDPOINTS} endpoints.",
    body=_request_schema,
    body_examples={
        "some": examples.NEW_WEBHOOK_ENDPOINT,
        "every-event": {"url": "https://shop.example/webhooks"},
    },
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The endpoint and its signing secret. No other response contains it.",
            data=_issued_schema,
            examples={"created": examples.ISSUED_WEBHOOK_ENDPOINT},
            links={"endpoint": build_link("getWebhookEndpoint", "/data/endpoint/id")},
        ),
    ),
    error_responses=(WEBHOOK_CONFLICT,),
)
LIST: Final = Operation(
    id="listWebhookEndpoints",
    summary="List the webhook endpoints, oldest first",
    description="All of them.",
    responses=(
        Success(
            status=200,
            description="The endpoints.",
            data=_list_schema,
            examples={"one": [examples.WEBHOOK_ENDPOINT]},
        ),
    ),
)
SHOW: Final = Operation(
    id="getWebhookEndpoint",
    summary="Get a webhook endpoint",
    description="Without its signing secret.",
    responses=(
        Success(status=200, description="The endpoint.", data=_response_schema, examples=_ENDPOINT),
    ),
    error_responses=(NOT_FOUND,),
)
UPDATE: Final = Operation(
    id="updateWebhookEndpoint",
    summary="Change, disable or enable a webhook endpoint",
    description="An endpoint that is enabled again goes on where it stopped: nothing is left out.",
    body=_update_schema,
    body_examples={
        "disable": {"status": "disabled"},
        "types": {"eventTypes": ["payment.succeeded", "refund.*"]},
    },
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(status=200, description="The endpoint.", data=_response_schema, examples=_ENDPOINT),
    ),
    error_responses=(NOT_FOUND, WEBHOOK_CONFLICT),
)
DELETE: Final = Operation(
    id="deleteWebhookEndpoint",
    summary="Delete a webhook endpoint",
    description="With its deliveries. What is being sent at this moment may still arrive.",
    responses=(
        Success(
            status=200,
            description="The endpoint as it was.",
            data=_response_schema,
            examples=_ENDPOINT,
        ),
    ),
    error_responses=(NOT_FOUND, WEBHOOK_CONFLICT),
)
ROTATE: Final = Operation(
    id="rotateWebhookSecret",
    summary="Replace the signing secret",
    description=f"For {_OVERLAP_HOURS} hours webhooks have the signatures of both secrets.",
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The endpoint and its new signing secret. No other response contains it.",
            data=_issued_schema,
            examples={"created": examples.ISSUED_WEBHOOK_ENDPOINT},
        ),
    ),
    error_responses=(NOT_FOUND, WEBHOOK_CONFLICT),
)
TEST: Final = Operation(
    id="testWebhookEndpoint",
    summary="Send a ping and return what came back",
    description="A signed webhook of type `ping`, which is no event, also to a disabled endpoint. "
    f"It is sent once and recorded nowhere. While {MAX_PINGS} tests of a merchant are in progress "
    "in an API process, further ones get 429.",
    responses=(
        Success(
            status=200,
            description="What came back.",
            data=_test_schema,
            examples={"delivered": examples.WEBHOOK_TEST},
        ),
    ),
    error_responses=(NOT_FOUND, WEBHOOK_CONFLICT),
)
REPLAY: Final = Operation(
    id="replayWebhooks",
    summary="Send events again",
    description="All that match the endpoint, from a sequence number or a time on. They keep their "
    "`webhook-id`, by which a receiver recognizes what it has processed.",
    body=_replay_schema,
    body_examples={
        "sequence": {"fromSequence": 123},
        "time": {"since": "2026-11-22T00:00:00Z"},
    },
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=202,
            description="The endpoint, whose events will be sent.",
            data=_response_schema,
            examples=_ENDPOINT,
        ),
    ),
    error_responses=(NOT_FOUND, WEBHOOK_CONFLICT),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def create() -> Response:
    content = read_json_object()
    refuse_query_parameters()
    values, key = _request_schema.parse(content), read_idempotency_key()
    context = request_context()
    request = EndpointRequest(
        context.merchant_id,
        values["url"],
        tuple(values.get("event_types", ())),
        values.get("description", ""),
        values.get("is_ordered", False),
        build_origin(),
    )
    create_endpoint = context.application.webhooks.create_endpoint
    return execute_idempotently(
        key, create_endpoint, request, _render_issued, content, redact(SECRET)
    )


@views.get("")
@describe_operation(LIST)
@requires_api_key(scope=Scope.WEBHOOKS_READ)
def list_() -> Response:
    refuse_query_parameters()
    context = request_context()
    endpoints = context.application.webhooks.list_endpoints(context.merchant_id)
    return ok_response(_list_schema.dump(endpoints))


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.WEBHOOKS_READ)
def show(id: str) -> Response:
    endpoint_id = parse_sole_path_id(id)
    context = request_context()
    endpoint = context.application.webhooks.get_endpoint(context.merchant_id, endpoint_id)
    return ok_response(_response_schema.dump(endpoint))


@views.patch("/<id>")
@describe_operation(UPDATE)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def update(id: str) -> Response:
    endpoint_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    values, key = _update_schema.parse(content), read_idempotency_key()
    event_types, status = values.get("event_types"), values.get("status")
    change = EndpointChange(
        values.get("url"),
        None if event_types is None else tuple(event_types),
        values.get("description"),
        values.get("is_ordered"),
        EndpointStatus(status) if status else None,
    )
    context = request_context()
    request = EndpointUpdate(context.merchant_id, endpoint_id, change, build_origin())
    update_endpoint = context.application.webhooks.update_endpoint
    return execute_idempotently(key, update_endpoint, request, _render_changed, content)


@views.delete("/<id>")
@describe_operation(DELETE)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def delete(id: str) -> Response:
    endpoint_id = parse_sole_path_id(id)
    context = request_context()
    reference = EndpointReference(context.merchant_id, endpoint_id, build_origin())
    endpoint = context.application.webhooks.delete_endpoint(reference)
    return ok_response(_response_schema.dump(endpoint))


@views.post("/<id>/rotate-secret")
@describe_operation(ROTATE)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def rotate_secret(id: str) -> Response:
    endpoint_id = parse_sole_path_id(id)
    key, context = read_idempotency_key(), request_context()
    reference = EndpointReference(context.merchant_id, endpoint_id, build_origin())
    rotate = context.application.webhooks.rotate_secret
    return execute_idempotently(key, rotate, reference, _render_issued, {}, redact(SECRET))


@views.post("/<id>/test")
@describe_operation(TEST)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def test(id: str) -> Response:
    endpoint_id = parse_sole_path_id(id)
    context = request_context()
    result = context.application.webhooks.ping(context.merchant_id, endpoint_id)
    return ok_response(_test_schema.dump(result))


@views.post("/<id>/replay")
@describe_operation(REPLAY)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def replay(id: str) -> Response:
    endpoint_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    values, key = _replay_schema.parse(content), read_idempotency_key()
    context = request_context()
    if len(values) != 1:
        # An unknown id is 404 whatever the body.
        context.application.webhooks.get_endpoint(context.merchant_id, endpoint_id)
        message = "Give either fromSequence or since."
        raise ValidationFailed(details={"fromSequence": [message], "since": [message]})
    since = values.get("since")
    request = ReplayRequest(
        context.merchant_id,
        endpoint_id,
        values.get("from_sequence"),
        parse_time(since) if since else None,
        build_origin(),
    )
    replay_webhooks = context.application.webhooks.replay
    return execute_idempotently(key, replay_webhooks, request, _render_replayed, content)


def _render_issued(issued: IssuedEndpoint) -> StoredResponse:
    return StoredResponse(201, render_envelope(_issued_schema.dump(issued)))


def _render_changed(endpoint: WebhookEndpoint) -> StoredResponse:
    return StoredResponse(200, render_envelope(_response_schema.dump(endpoint)))


def _render_replayed(endpoint: WebhookEndpoint) -> StoredResponse:
    return StoredResponse(202, render_envelope(_response_schema.dump(endpoint)))
