"""POST and GET /payments."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.lists import ExpandedPayment
from atomic_web.access.authentication import authenticated
from atomic_web.access.idempotency import HEADER, idempotent_request, read_key, to_response
from atomic_web.context import request_context
from atomic_web.http.body import read_object
from atomic_web.http.ids import path_id, refuse_query
from atomic_web.http.query import read_query
from atomic_web.http.responses import ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.headers import linked
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.payment_requests import accepted, parse_payment_request
from atomic_web.schemas.filters import EXPAND
from atomic_web.schemas.lists import ExpandedPaymentSchema
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

views = Blueprint("payments", __name__, url_prefix="/payments")

_shown: Final = PaymentSchema()
_expanded: Final = ExpandedPaymentSchema()

CREATE: Final = Operation(
    id="createPayment",
    summary="Take a payment",
    description="It is settled soon after the answer: PENDING, PROCESSING, then SUCCESS or FAILED; "
    "with `capture: manual` AUTHORIZED or FAILED, and then it waits to be captured or canceled.",
    body=NewPaymentSchema(),
    requests={
        "succeeds": examples.NEW_PAYMENT,
        "holds": {**examples.NEW_PAYMENT, "capture": "manual"},
        "fails": {**examples.NEW_PAYMENT, "source": "tok_chargeDeclined"},
    },
    parameters=(HEADER,),
    answers=(
        Success(
            status=202,
            description="The payment is recorded and will be settled.",
            data=_shown,
            examples={"pending": examples.PENDING},
            headers=("Location",),
            links={"payment": linked("getPayment", "/data/id")},
        ),
    ),
)
SHOW: Final = Operation(
    id="getPayment",
    summary="A payment as it stands",
    query=(EXPAND,),
    answers=(
        Success(
            status=200,
            description="The payment.",
            data=_expanded,
            under="payment",
            examples={
                "pending": ExpandedPayment(examples.PENDING),
                "authorized": ExpandedPayment(examples.AUTHORIZED),
                "success": ExpandedPayment(examples.SUCCESS),
                "failed": ExpandedPayment(examples.FAILED),
                "expanded": ExpandedPayment(
                    examples.SUCCESS, [examples.REFUNDED], [examples.ENTRY]
                ),
            },
        ),
    ),
    refusals=(NOT_FOUND,),
)


@views.post("")
@documented(CREATE)
@authenticated(scope=Scope.PAYMENTS_WRITE, limit="payments", confirms=True)
def create() -> Response:
    """Take a payment; 202, for it is settled later."""
    content = read_object()
    refuse_query()
    order = parse_payment_request(content, read_key())
    context = request_context()
    answer = context.app_context.application.payments.create(
        context.known_caller, order, idempotent_request(order.idempotency_key, content), accepted
    )
    response = to_response(answer)
    context.payment_id = response.headers["Location"].rsplit("/", 1)[1]
    return response


@views.get("/<id>")
@documented(SHOW)
@authenticated(scope=Scope.PAYMENTS_READ, confirms=True)
def show(id: str) -> Response:
    payment_id = path_id(id)
    expand = read_query(SHOW.query).get("expand", frozenset())
    context = request_context()
    context.payment_id = payment_id
    application, caller = context.app_context.application, context.known_caller
    if not expand:
        return ok({"payment": _shown.dump(application.payments.get.for_caller(caller, payment_id))})
    application.api_keys.confirm(caller)
    expanded = application.payments.expand(
        caller.merchant_id, payment_id, refunds="refunds" in expand, entries="entries" in expand
    )
    return ok({"payment": _expanded.dump(expanded)})
