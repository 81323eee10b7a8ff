"""What was sent to a webhook endpoint, and sending it again."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.webhooks import Delivery
from atomic_core.use_cases.webhook_deliveries import DeliveryReference
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.pages import RenderedPage, render_page
from atomic_web.http.query import parse_query
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, WEBHOOK_CONFLICT
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.filters import split_page_parameters
from atomic_web.schemas.webhooks import (
    DELIVERY_QUERY,
    DeliveryDetailsSchema,
    DeliveryPageSchema,
    DeliverySchema,
    build_delivery_filter,
)

views = Blueprint("webhook_deliveries", __name__)

_schema: Final = DeliverySchema()
_page_schema: Final = DeliveryPageSchema()
_details_schema: Final = DeliveryDetailsSchema()


LIST: Final = Operation(
    id="listDeliveries",
    summary="List what was sent to a webhook endpoint",
    description="Newest first. Deliveries are kept for 30 days after they have ended. One that is "
    "`failed` is not retried any more, except on request. A delivery must match all filters.",
    query=DELIVERY_QUERY,
    responses=(
        Success(
            status=200,
            description="A page, which is empty if there is no delivery.",
            data=_page_schema,
            examples={
                "one": RenderedPage([_schema.dump(examples.DELIVERY)], examples.CURSOR),
                "empty": RenderedPage([], None),
            },
        ),
    ),
    error_responses=(NOT_FOUND,),
)
SHOW: Final = Operation(
    id="getDelivery",
    summary="Get a delivery with its attempts",
    description="The latest 50 attempts, oldest first.",
    responses=(
        Success(
            status=200,
            description="The delivery.",
            data=_details_schema,
            examples={"retried": examples.DELIVERY_DETAILS},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
RETRY: Final = Operation(
    id="retryDelivery",
    summary="Send a delivery again, now",
    description="Whatever its status. To an ordered endpoint it is sent once; to others it is "
    "retried as at first.",
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=202,
            description="The delivery, which will be sent.",
            data=_schema,
            examples={"pending": examples.DELIVERY},
        ),
    ),
    error_responses=(NOT_FOUND, WEBHOOK_CONFLICT),
)


@views.get("/webhook-endpoints/<id>/deliveries")
@describe_operation(LIST)
@requires_api_key(scope=Scope.WEBHOOKS_READ)
def list_(id: str) -> Response:
    endpoint_id = parse_path_id(id)
    limit, cursor, values = split_page_parameters(parse_query(DELIVERY_QUERY))
    filters, context = build_delivery_filter(values), request_context()
    codec = CursorCodec(
        context.merchant_id,
        (
            *("deliveries", endpoint_id, sorted(filters.statuses), sorted(filters.types)),
            *(filters.created_from, filters.created_to),
        ),
    )
    page = context.application.webhooks.list_deliveries(
        context.merchant_id, endpoint_id, filters, limit, codec.decode_position(cursor)
    )
    return render_page(page, _page_schema, _schema, codec)


@views.get("/deliveries/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.WEBHOOKS_READ)
def show(id: str) -> Response:
    delivery_id = parse_sole_path_id(id)
    context = request_context()
    details = context.application.webhooks.get_delivery(context.merchant_id, delivery_id)
    return ok_response(_details_schema.dump(details))


@views.post("/deliveries/<id>/retry")
@describe_operation(RETRY)
@requires_api_key(scope=Scope.WEBHOOKS_WRITE)
def retry(id: str) -> Response:
    delivery_id = parse_sole_path_id(id)
    key, context = read_idempotency_key(), request_context()
    reference = DeliveryReference(context.merchant_id, delivery_id, build_origin())
    retry_delivery = context.application.webhooks.retry_delivery
    return execute_idempotently(key, retry_delivery, reference, _render_retried, {})


def _render_retried(delivery: Delivery) -> StoredResponse:
    return StoredResponse(202, render_envelope(_schema.dump(delivery)))
