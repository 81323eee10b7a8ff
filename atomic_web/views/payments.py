"""POST and GET /payments."""

from typing import Final

from flask import Blueprint, Response

from atomic_web.auth import authenticated
from atomic_web.body import read_object
from atomic_web.context import visit
from atomic_web.idempotency import read_key, told, wanted
from atomic_web.ids import path_id, refuse_query
from atomic_web.orders import accepted, read_order
from atomic_web.responses import ok
from atomic_web.schemas.payments import PaymentSchema

views = Blueprint("payments", __name__, url_prefix="/payments")

_shown: Final = PaymentSchema()


@views.post("")
@authenticated(limit="payments", confirms=True)
def create() -> Response:
    """Take a payment; 202, for it is settled later."""
    content = read_object()
    refuse_query()
    order = read_order(content, read_key())
    at_hand = visit()
    answer = at_hand.door.application.create_payment(
        at_hand.known_caller, order, wanted(order.idempotency_key, content), accepted
    )
    response = told(answer)
    at_hand.payment_id = response.headers["Location"].rsplit("/", 1)[1]
    return response


@views.get("/<id>")
@authenticated(confirms=True)
def show(id: str) -> Response:
    payment_id = path_id(id)
    refuse_query()
    at_hand = visit()
    at_hand.payment_id = payment_id
    payment = at_hand.door.application.get_payment.for_caller(at_hand.known_caller, payment_id)
    return ok({"payment": _shown.dump(payment)})
