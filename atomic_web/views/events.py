"""GET /events and GET /events/{id}: the stream of a merchant's events."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import requires_api_key
from atomic_web.context import request_context
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_sole_path_id
from atomic_web.http.pages import RenderedPage, render_numbered_page
from atomic_web.http.query import parse_query
from atomic_web.http.responses import ok_response
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import EVENTS_PURGED, NOT_FOUND
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.event_filters import EVENT_QUERY, build_event_query
from atomic_web.schemas.events import EventPageSchema, EventSchema

views = Blueprint("events", __name__, url_prefix="/events")

_event_schema: Final = EventSchema()
_page_schema: Final = EventPageSchema()


LIST: Final = Operation(
    id="listEvents",
    summary="List events, or wait for the next ones",
    description="The merchant's stream of events. Their sequence numbers have no gaps and are in "
    "the order of commits: to read each event once, request the events `after` the last number "
    "that was read, beginning with 0. With `wait`, a request that matches no event yet is answered "
    "shortly after the first one, or with an empty page. An event must match all filters. If "
    "events after the number `after` are not kept any more, the answer is 410, and `details.after` "
    "says where to begin.",
    query=EVENT_QUERY,
    responses=(
        Success(
            status=200,
            description="A page, which is empty if there is no event.",
            data=_page_schema,
            examples={
                "oldest first": RenderedPage(
                    [
                        _event_schema.dump(examples.PAYMENT_EVENT),
                        _event_schema.dump(examples.REFUND_EVENT),
                    ],
                    examples.CURSOR,
                ),
                "empty": RenderedPage([], None),
            },
        ),
    ),
    error_responses=(EVENTS_PURGED,),
)
SHOW: Final = Operation(
    id="getEvent",
    summary="Get an event",
    description="An event of the merchant's stream.",
    responses=(
        Success(
            status=200,
            description="The event.",
            data=_event_schema,
            examples={"payment": examples.PAYMENT_EVENT, "refund": examples.REFUND_EVENT},
        ),
    ),
    error_responses=(NOT_FOUND,),
)


# The use case checks the API key together with each read, because it may be revoked during a wait.
@views.get("")
@describe_operation(LIST)
@requires_api_key(scope=Scope.EVENTS_READ, is_confirmed_by_use_case=True)
def list_() -> Response:
    query, context = build_event_query(parse_query(EVENT_QUERY)), request_context()
    codec = CursorCodec(context.merchant_id, query.list_identity)
    page = context.application.events.list(
        context.authenticated_caller,
        query.continue_after(codec.decode_sequence(query.cursor)),
        query.limit,
        is_oldest_first=query.is_oldest_first,
        wait_seconds=query.wait_seconds,
    )
    return render_numbered_page(page, _page_schema, _event_schema, codec)


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.EVENTS_READ)
def show(id: str) -> Response:
    event_id = parse_sole_path_id(id)
    context = request_context()
    event = context.application.events.get(context.merchant_id, event_id)
    return ok_response(_event_schema.dump(event))
