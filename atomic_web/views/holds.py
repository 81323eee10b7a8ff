"""POST /payments/{id}/capture and /cancel: capture or release a hold."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.payments import Payment
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_optional_json_object
from atomic_web.http.ids import parse_path_id
from atomic_web.http.responses import render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import CANCEL_CONFLICT, CAPTURE_CONFLICT, NOT_FOUND
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.payment_requests import PATH
from atomic_web.schemas.holds import PaymentCancellationSchema, PaymentCaptureSchema
from atomic_web.schemas.payments import PaymentSchema
from atomic_web.waiting import PREFER, WAIT, read_wait_seconds, respond_when_settled

views = Blueprint("holds", __name__, url_prefix="/payments/<id>")

_capture_schema: Final = PaymentCaptureSchema()
_cancellation_schema: Final = PaymentCancellationSchema()
_response_schema: Final = PaymentSchema()

CAPTURE: Final = Operation(
    id="capturePayment",
    summary="Capture a hold",
    description="Captures the whole hold or a part; the rest is released. An amount above the hold "
    "is 409. The first capture, cancellation or expiry wins; later requests get 409 with the "
    "current status.",
    body=_capture_schema,
    body_examples={"full": {}, "partial": {"amount": 3_000}},
    parameters=(IDEMPOTENCY_KEY, PREFER),
    query=(WAIT,),
    responses=(
        Success(
            status=200,
            description="With `wait`: the capture is settled.",
            data=_response_schema,
            examples={"success": examples.SUCCESS},
            headers=("Location",),
        ),
        Success(
            status=202,
            description="The capture is accepted and will be settled: SUCCESS or FAILED.",
            data=_response_schema,
            examples={"capturing": examples.CAPTURING},
            headers=("Location",),
            links={"payment": build_link("getPayment", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, CAPTURE_CONFLICT),
)
CANCEL: Final = Operation(
    id="cancelPayment",
    summary="Cancel a hold",
    description="Voids the authorization, or ends the wait of a REQUIRES_ACTION payment for its "
    "customer. The first capture, cancellation or expiry wins, as for a "
    "capture.",
    body=_cancellation_schema,
    body_examples={"default": {}, "reason": {"reason": "requested_by_customer"}},
    parameters=(IDEMPOTENCY_KEY, PREFER),
    query=(WAIT,),
    responses=(
        Success(
            status=200,
            description="With `wait`: the cancellation is settled.",
            data=_response_schema,
            examples={"canceled": examples.CANCELED},
            headers=("Location",),
        ),
        Success(
            status=202,
            description="The cancellation is accepted and will be settled: CANCELED.",
            data=_response_schema,
            examples={"canceling": examples.CANCELING},
            headers=("Location",),
            links={"payment": build_link("getPayment", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, CANCEL_CONFLICT),
)


@views.post("/capture")
@describe_operation(CAPTURE)
@requires_api_key(scope=Scope.PAYMENTS_WRITE)
def capture(id: str) -> Response:
    payment_id, content = parse_path_id(id), read_optional_json_object()
    wait_seconds = read_wait_seconds()
    values, context = _capture_schema.parse(content), request_context()
    context.payment_id = payment_id
    new_capture = CaptureRequest(context.merchant_id, payment_id, values["amount"], build_origin())
    capture_payment = context.application.payments.capture
    key = read_idempotency_key()
    response = execute_idempotently(key, capture_payment, new_capture, _render_payment, content)
    wait = context.application.payments.wait
    return respond_when_settled(response, wait_seconds, wait, _response_schema)


@views.post("/cancel")
@describe_operation(CANCEL)
@requires_api_key(scope=Scope.PAYMENTS_WRITE)
def cancel(id: str) -> Response:
    payment_id, content = parse_path_id(id), read_optional_json_object()
    wait_seconds = read_wait_seconds()
    values, context = _cancellation_schema.parse(content), request_context()
    context.payment_id = payment_id
    cancellation = CancelRequest(context.merchant_id, payment_id, values["reason"], build_origin())
    cancel_payment = context.application.payments.cancel
    key = read_idempotency_key()
    response = execute_idempotently(key, cancel_payment, cancellation, _render_payment, content)
    wait = context.application.payments.wait
    return respond_when_settled(response, wait_seconds, wait, _response_schema)


def _render_payment(payment: Payment) -> StoredResponse:
    return StoredResponse(
        202, render_envelope(_response_schema.dump(payment)), f"{PATH}/{payment.id}"
    )
