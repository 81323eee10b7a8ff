"""POST /payments/{id}/capture and /cancel: what becomes of a hold. The first to ask decides."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.payments import Payment
from atomic_core.use_cases.holds import Cancellation, NewCapture
from atomic_web.access.authentication import authenticated
from atomic_web.access.idempotency import HEADER, perform, read_key
from atomic_web.context import request_context
from atomic_web.http.body import read_object_if_any
from atomic_web.http.ids import path_id, refuse_query
from atomic_web.http.responses import envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, STATE_CONFLICT
from atomic_web.openapi.headers import linked
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.payment_requests import PATH
from atomic_web.schemas.holds import CancelSchema, CaptureSchema
from atomic_web.schemas.payments import PaymentSchema

views = Blueprint("holds", __name__, url_prefix="/payments/<id>")

_capture_asked: Final = CaptureSchema()
_cancel_asked: Final = CancelSchema()
_shown: Final = PaymentSchema()

CAPTURE: Final = Operation(
    id="capturePayment",
    summary="Take what is held",
    description="All of it or a part; the rest is let go. More than is held is 409. Of capture, "
    "cancel and expiry the first decides; the others get 409 with the state that is.",
    body=_capture_asked,
    body_required=False,
    requests={"all": {}, "part": {"amount": 3_000}},
    parameters=(HEADER,),
    answers=(
        Success(
            status=202,
            description="It is decided, and will be settled: SUCCESS, or FAILED.",
            data=_shown,
            examples={"capturing": examples.CAPTURING},
            headers=("Location",),
            links={"payment": linked("getPayment", "/data/id")},
        ),
    ),
    refusals=(NOT_FOUND, STATE_CONFLICT),
)
CANCEL: Final = Operation(
    id="cancelPayment",
    summary="Let go of what is held",
    description="A void: nothing is taken. The first to decide decides, as for a capture.",
    body=_cancel_asked,
    body_required=False,
    requests={"plain": {}, "reason": {"reason": "requested_by_customer"}},
    parameters=(HEADER,),
    answers=(
        Success(
            status=202,
            description="It is decided, and will be settled: CANCELED.",
            data=_shown,
            examples={"canceling": examples.CANCELING},
            headers=("Location",),
            links={"payment": linked("getPayment", "/data/id")},
        ),
    ),
    refusals=(NOT_FOUND, STATE_CONFLICT),
)


@views.post("/capture")
@documented(CAPTURE)
@authenticated(scope=Scope.PAYMENTS_WRITE)
def capture(id: str) -> Response:
    payment_id, content = path_id(id), read_object_if_any()
    refuse_query()
    asked, context = _capture_asked.read(content), request_context()
    context.payment_id = payment_id
    order = NewCapture(context.merchant_id, payment_id, asked["amount"], context.request_id)
    command = context.app_context.application.payments.capture
    return perform(read_key(), command, order, _decided, content)


@views.post("/cancel")
@documented(CANCEL)
@authenticated(scope=Scope.PAYMENTS_WRITE)
def cancel(id: str) -> Response:
    payment_id, content = path_id(id), read_object_if_any()
    refuse_query()
    asked, context = _cancel_asked.read(content), request_context()
    context.payment_id = payment_id
    order = Cancellation(context.merchant_id, payment_id, asked["reason"], context.request_id)
    command = context.app_context.application.payments.cancel
    return perform(read_key(), command, order, _decided, content)


def _decided(payment: Payment) -> StoredResponse:
    return StoredResponse(202, envelope(_shown.dump(payment)), f"{PATH}/{payment.id}")
