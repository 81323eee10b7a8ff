"""GET /payments/{id}/timeline: the whole story of a payment."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import authenticated
from atomic_web.context import request_context
from atomic_web.http.ids import path_id, refuse_query
from atomic_web.http.responses import ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.timeline import TimelineSchema

views = Blueprint("timeline", __name__, url_prefix="/payments/<id>/timeline")

_shown: Final = TimelineSchema()

SHOW: Final = Operation(
    id="getTimeline",
    summary="All that happened to a payment",
    description="Each transition of it and of its refunds: when, at which attempt, asked for by "
    "which request, and what it did to the books.",
    answers=(
        Success(
            status=200,
            description="The story.",
            data=_shown,
            examples={"charged": examples.TIMELINE},
        ),
    ),
    refusals=(NOT_FOUND,),
)


@views.get("")
@documented(SHOW)
@authenticated(scope=Scope.PAYMENTS_READ)
def show(id: str) -> Response:
    payment_id = path_id(id)
    refuse_query()
    context = request_context()
    context.payment_id = payment_id
    timeline = context.app_context.application.payments.get_timeline(
        context.merchant_id, payment_id
    )
    return ok(_shown.dump(timeline))
