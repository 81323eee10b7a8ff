"""GET /payments/{id}/timeline: all events of a payment, its refunds and its disputes."""

from typing import Any, Final

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import is_scope_granted, requires_api_key
from atomic_web.context import request_context
from atomic_web.http.ids import parse_sole_path_id
from atomic_web.http.responses import ok_response
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.timeline import TimelineSchema

views = Blueprint("timeline", __name__, url_prefix="/payments/<id>/timeline")

_response_schema: Final = TimelineSchema()

SHOW: Final = Operation(
    id="getTimeline",
    summary="List the events of a payment",
    description="Every status change of the payment, its refunds and its disputes: its time, "
    "settlement attempt, request, actor, and ledger transaction. The entries of a transaction "
    "require the scope `accounts:read` as well; without it they are null.",
    responses=(
        Success(
            status=200,
            description="The events, oldest first.",
            data=_response_schema,
            examples={"charged": examples.TIMELINE},
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.get("")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.PAYMENTS_READ)
def show(id: str) -> Response:
    payment_id = parse_sole_path_id(id)
    context = request_context()
    context.payment_id = payment_id
    timeline = context.application.payments.get_timeline(context.merchant_id, payment_id)
    data = _response_schema.dump(timeline)
    if not is_scope_granted(Scope.ACCOUNTS_READ):
        _remove_entries(data)
    return ok_response(data)


def _remove_entries(data: dict[str, Any]) -> None:
    """Entries name accounts: GET /accounts/{id}/entries requires accounts:read for them."""
    for event in data["events"]:
        if event["transaction"] is not None:
            event["transaction"]["entries"] = None
