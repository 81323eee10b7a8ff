"""POST and GET /payments."""

from typing import Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.lists import ExpandedPayment
from atomic_web.access.authentication import require_scope, requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    read_idempotency_key,
    read_idempotent_request,
    to_response,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object
from atomic_web.http.ids import parse_path_id
from atomic_web.http.query import parse_query
from atomic_web.http.responses import ok_response
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import BAD_PAYMENT, NOT_FOUND, PAYEE_CONFLICT
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.payment_requests import parse_payment_request, render_accepted_payment
from atomic_web.schemas.filters import EXPAND
from atomic_web.schemas.lists import ExpandedPaymentSchema, PaymentDetailsSchema
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema
from atomic_web.waiting import (
    PREFER,
    WAIT,
    read_preferred_seconds,
    read_wait_seconds,
    respond_when_settled,
)

views = Blueprint("payments", __name__, url_prefix="/payments")

_response_schema: Final = PaymentSchema()
_expanded_schema: Final = ExpandedPaymentSchema()


class _PaymentDetails(NamedTuple):
    payment: ExpandedPayment


CREATE: Final = Operation(
    id="createPayment",
    summary="Create a payment",
    description="The payment is settled shortly after the response: PENDING, PROCESSING, then "
    "SUCCESS or FAILED. With `capture: manual` it becomes AUTHORIZED or FAILED; an authorized "
    "payment waits to be captured or canceled. If the card's bank requires it, the payment becomes "
    "REQUIRES_ACTION first: send the customer to `nextAction.url`.",
    body=NewPaymentSchema(),
    body_examples={
        "charge": examples.NEW_PAYMENT,
        "hold": {**examples.NEW_PAYMENT, "capture": "manual"},
        "declined": {**examples.NEW_PAYMENT, "source": "tok_chargeDeclined"},
    },
    parameters=(IDEMPOTENCY_KEY, PREFER),
    query=(WAIT,),
    responses=(
        Success(
            status=200,
            description="With `wait`: the payment is settled or authorized.",
            data=_response_schema,
            examples={"success": examples.SUCCESS, "failed": examples.FAILED},
            headers=("Location",),
        ),
        Success(
            status=202,
            description="The payment is accepted and will be settled.",
            data=_response_schema,
            examples={"pending": examples.PENDING},
            headers=("Location",),
            links={"payment": build_link("getPayment", "/data/id")},
        ),
    ),
    error_responses=(BAD_PAYMENT, PAYEE_CONFLICT),
)
SHOW: Final = Operation(
    id="getPayment",
    summary="Get a payment",
    description="Its refunds and its entries in your account are included on request; "
    "`expand=entries` requires the scope `accounts:read` as well.",
    query=(EXPAND, WAIT),
    parameters=(PREFER,),
    responses=(
        Success(
            status=200,
            description="The payment.",
            data=PaymentDetailsSchema(),
            examples={
                "pending": _PaymentDetails(ExpandedPayment(examples.PENDING)),
                "authorized": _PaymentDetails(ExpandedPayment(examples.AUTHORIZED)),
                "success": _PaymentDetails(ExpandedPayment(examples.SUCCESS)),
                "failed": _PaymentDetails(ExpandedPayment(examples.FAILED)),
                "expanded": _PaymentDetails(
                    ExpandedPayment(examples.SUCCESS, [examples.REFUNDED], [examples.ENTRY])
                ),
            },
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.PAYMENTS_WRITE, rate_limit="payments", is_confirmed_by_use_case=True)
def create() -> Response:
    content, wait_seconds = read_json_object(), read_wait_seconds()
    new_payment = parse_payment_request(content, read_idempotency_key(), build_origin())
    context = request_context()
    if new_payment.webhook_url is not None:
        context.application.webhooks.ensure_default_endpoint(context.merchant_id, build_origin())
    result = context.application.payments.create(
        context.authenticated_caller,
        new_payment,
        read_idempotent_request(new_payment.idempotency_key, content),
        render_accepted_payment,
    )
    response = to_response(result)
    context.payment_id = response.headers["Location"].rsplit("/", 1)[1]
    if wait_seconds:
        wait = context.application.payments.wait
        return respond_when_settled(response, wait_seconds, wait, _response_schema)
    return response


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.PAYMENTS_READ, is_confirmed_by_use_case=True)
def show(id: str) -> Response:
    payment_id = parse_path_id(id)
    query = parse_query(SHOW.query)
    related = query.get("expand", frozenset())
    wait_seconds = query["wait"] if "wait" in query else read_preferred_seconds()
    context = request_context()
    context.payment_id = payment_id
    application, caller = context.application, context.authenticated_caller
    if wait_seconds and application.payments.get.for_caller(caller, payment_id).status.is_open:
        application.payments.wait(caller.merchant_id, payment_id, wait_seconds)
    # The API key is checked after the wait: it may be revoked meanwhile.
    if not related:
        payment = application.payments.get.for_caller(caller, payment_id)
        return ok_response({"payment": _response_schema.dump(payment)})
    if "entries" in related:
        require_scope(Scope.ACCOUNTS_READ)
    application.api_keys.require_active(caller)
    expanded_payment = application.payments.expand(
        caller.merchant_id, payment_id, refunds="refunds" in related, entries="entries" in related
    )
    return ok_response({"payment": _expanded_schema.dump(expanded_payment)})
