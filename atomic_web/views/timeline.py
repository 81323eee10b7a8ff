"""GET /payments/{id}/timeline: the whole story of a payment."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_web.auth import authenticated
from atomic_web.context import visit
from atomic_web.ids import path_id, refuse_query
from atomic_web.openapi import examples
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.openapi.refusals import NOT_FOUND
from atomic_web.responses import ok
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
    at_hand = visit()
    at_hand.payment_id = payment_id
    timeline = at_hand.door.application.get_timeline(at_hand.merchant_id, payment_id)
    return ok(_shown.dump(timeline))
