"""POST /payments/{id}/refunds and GET /refunds/{id}."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import BASE_PATH, request_context
from atomic_web.http.body import read_optional_json_object
from atomic_web.http.ids import parse_path_id
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, REFUND_CONFLICT
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.refunds import NewRefundSchema, RefundSchema
from atomic_web.waiting import PREFER, WAIT, read_wait_seconds, respond_when_settled

views = Blueprint("refunds", __name__)

PATH: Final = f"{BASE_PATH}/refunds"

_request_schema: Final = NewRefundSchema()
_response_schema: Final = RefundSchema()

CREATE: Final = Operation(
    id="createRefund",
    summary="Refund a payment or a part of it",
    description="A payment can be refunded in any number of parts, up to the captured amount; "
    "unsettled refunds count, failed ones do not. A refund is settled shortly after the response: "
    "PENDING, PROCESSING, then SUCCESS, or FAILED with `insufficient_balance` if the account's "
    "available balance is too low. Fees are not refunded.",
    body=_request_schema,
    body_examples={
        "full": {},
        "partial": {"amount": 2_500, "reason": "One of two items was returned"},
    },
    parameters=(IDEMPOTENCY_KEY, PREFER),
    query=(WAIT,),
    responses=(
        Success(
            status=200,
            description="With `wait`: the refund is settled.",
            data=_response_schema,
            examples={"success": examples.REFUNDED},
            headers=("Location",),
        ),
        Success(
            status=202,
            description="The refund is accepted and will be settled.",
            data=_response_schema,
            examples={"pending": examples.REFUND},
            headers=("Location",),
            links={"refund": build_link("getRefund", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, REFUND_CONFLICT),
)
SHOW: Final = Operation(
    id="getRefund",
    summary="Get a refund",
    description="A refund of any payment of the merchant.",
    query=(WAIT,),
    parameters=(PREFER,),
    responses=(
        Success(
            status=200,
            description="The refund.",
            data=_response_schema,
            examples={"success": examples.REFUNDED},
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.post("/payments/<id>/refunds")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.REFUNDS_WRITE)
def create(id: str) -> Response:
    payment_id, content = parse_path_id(id), read_optional_json_object()
    wait_seconds = read_wait_seconds()
    values, key, context = _request_schema.parse(content), read_idempotency_key(), request_context()
    context.payment_id = payment_id
    new_refund = NewRefund(
        merchant_id=context.merchant_id,
        payment_id=payment_id,
        amount=values["amount"],
        reason=values["reason"],
        metadata=values["metadata"],
        idempotency_key=key,
        origin=build_origin(),
    )
    create_refund = context.application.refunds.create
    response = execute_idempotently(
        key, create_refund, new_refund, _render_accepted_refund, content
    )
    wait = context.application.refunds.wait
    return respond_when_settled(response, wait_seconds, wait, _response_schema)


@views.get("/refunds/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.PAYMENTS_READ)
def show(id: str) -> Response:
    refund_id, wait_seconds = parse_path_id(id), read_wait_seconds()
    context = request_context()
    refunds, merchant_id = context.application.refunds, context.merchant_id
    refund = refunds.get(merchant_id, refund_id)
    if wait_seconds and refund.status.is_open:
        refund = refunds.wait(merchant_id, refund_id, wait_seconds)
        context.application.api_keys.require_active(context.authenticated_caller)
    return ok_response(_response_schema.dump(refund))


def _render_accepted_refund(refund: Refund) -> StoredResponse:
    return StoredResponse(
        202, render_envelope(_response_schema.dump(refund)), f"{PATH}/{refund.id}"
    )
