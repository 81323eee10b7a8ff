"""POST /networks/stripe/events: where Stripe sends its events."""

from typing import Final, NamedTuple

from flask import Blueprint, Response, request

from atomic_core.domain.errors import NotFound
from atomic_web.access.authentication import public
from atomic_web.context import request_context
from atomic_web.http.body import read_json_bytes
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response
from atomic_web.openapi.error_responses import EVENT_REFUSED, NOT_FOUND, SERVICE_UNAVAILABLE
from atomic_web.openapi.headers import STRIPE_SIGNATURE
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.network_events import ReceivedEventSchema, StripeEventSchema

views = Blueprint("network_events", __name__, url_prefix="/networks")

MAX_EVENT_BYTES: Final = 262_144
"""Several times the largest event of a payment."""

_request_schema: Final = StripeEventSchema()
_response_schema: Final = ReceivedEventSchema()


class _Received(NamedTuple):
    received: bool = True


RECEIVE: Final = Operation(
    id="receiveStripeEvent",
    summary="Receive an event of Stripe",
    description="For Stripe, not for merchants. The signature is the credential. An event is stored"
    " once and acted on later: settlement inquires at Stripe about the payment or refund that it"
    " names, and the answer decides. 404 unless STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET are"
    " set.",
    body=_request_schema,
    body_examples={
        "succeeded": {
            "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
            "object": "event",
            "type": "payment_intent.succeeded",
            "data": {
                "object": {
                    "id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
                    "object": "payment_intent",
                    "metadata": {"atomic_payment": "0199c0de-0000-7000-8000-000000000001"},
                }
            },
        }
    },
    parameters=(STRIPE_SIGNATURE,),
    responses=(
        Success(
            status=200,
            description="Received, now or earlier, or of no concern.",
            data=_response_schema,
            examples={"received": _Received()},
        ),
    ),
    error_responses=(EVENT_REFUSED, NOT_FOUND, SERVICE_UNAVAILABLE),
)


@views.post("/stripe/events")
@describe_operation(RECEIVE)
@public(has_global_limit=False, rate_limit="network_events")
def receive() -> Response:
    context = request_context()
    if not context.settings.networks.has_stripe_events:
        raise NotFound
    refuse_query_parameters()
    body = read_json_bytes(MAX_EVENT_BYTES)
    signature = request.headers.get(STRIPE_SIGNATURE, "")
    context.application.network_events.receive("stripe", body, signature)
    return ok_response(_response_schema.dump(_Received()))
