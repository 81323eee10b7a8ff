"""POST /payments/{id}/refunds and GET /refunds/{id}: money given back."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_web.access.authentication import authenticated
from atomic_web.access.idempotency import HEADER, perform, read_key
from atomic_web.context import BASE_PATH, app_context, request_context
from atomic_web.http.body import read_object_if_any
from atomic_web.http.ids import path_id, refuse_query
from atomic_web.http.responses import envelope, ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, STATE_CONFLICT
from atomic_web.openapi.headers import linked
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.refunds import NewRefundSchema, RefundSchema

views = Blueprint("refunds", __name__)

PATH: Final = f"{BASE_PATH}/refunds"

_asked: Final = NewRefundSchema()
_shown: Final = RefundSchema()

CREATE: Final = Operation(
    id="createRefund",
    summary="Give back a payment, or a part of it",
    description="Any number of parts, never more than was captured: refunds under way count, "
    "those that failed do not. It is settled soon after the answer: PENDING, PROCESSING, then "
    "SUCCESS, or FAILED with `insufficient_balance` if what is available in the account does not "
    "suffice. Fees are not given back.",
    body=_asked,
    body_required=False,
    requests={"all": {}, "part": {"amount": 2_500, "reason": "one of two came back"}},
    parameters=(HEADER,),
    answers=(
        Success(
            status=202,
            description="The refund is recorded and will be settled.",
            data=_shown,
            examples={"pending": examples.REFUND},
            headers=("Location",),
            links={"refund": linked("getRefund", "/data/id")},
        ),
    ),
    refusals=(NOT_FOUND, STATE_CONFLICT),
)
SHOW: Final = Operation(
    id="getRefund",
    summary="A refund as it stands",
    answers=(
        Success(
            status=200,
            description="The refund.",
            data=_shown,
            examples={"success": examples.REFUNDED},
        ),
    ),
    refusals=(NOT_FOUND,),
)


@views.post("/payments/<id>/refunds")
@documented(CREATE)
@authenticated(scope=Scope.REFUNDS_WRITE)
def create(id: str) -> Response:
    """Give money back; 202, for it is settled later."""
    payment_id, content = path_id(id), read_object_if_any()
    refuse_query()
    asked, key, context = _asked.read(content), read_key(), request_context()
    context.payment_id = payment_id
    order = NewRefund(
        merchant_id=context.merchant_id,
        payment_id=payment_id,
        amount=asked["amount"],
        reason=asked["reason"],
        metadata=asked["metadata"],
        idempotency_key=key,
        request_id=context.request_id,
    )
    return perform(key, app_context().application.refunds.create, order, _created, content)


@views.get("/refunds/<id>")
@documented(SHOW)
@authenticated(scope=Scope.PAYMENTS_READ)
def show(id: str) -> Response:
    refund_id = path_id(id)
    refuse_query()
    refund = app_context().application.refunds.get(request_context().merchant_id, refund_id)
    return ok(_shown.dump(refund))


def _created(refund: Refund) -> StoredResponse:
    return StoredResponse(202, envelope(_shown.dump(refund)), f"{PATH}/{refund.id}")
