"""POST and GET /payments."""

from typing import Final

from flask import Blueprint, Response, url_for

from atomic_core.domain.errors import Forbidden
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment, Payment
from atomic_web.auth import authenticated
from atomic_web.body import read_object
from atomic_web.context import door, visit
from atomic_web.idempotency import perform, read_key
from atomic_web.ids import path_id, refuse_query
from atomic_web.responses import envelope, ok
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

views = Blueprint("payments", __name__, url_prefix="/payments")

_asked: Final = NewPaymentSchema()
_shown: Final = PaymentSchema()


@views.post("")
@authenticated(limit="payments")
def create() -> Response:
    """Take a payment; 202, for it is settled later."""
    content = read_object()
    refuse_query()
    asked = _asked.read(content)
    key = read_key()
    caller = visit().merchant_id
    if asked.get("merchant_id", str(caller)) != str(caller):
        raise Forbidden("merchantId must be the merchant this API key belongs to.")
    order = NewPayment(
        merchant_id=caller,
        money=Money(asked["amount"], asked["currency"]),
        source=asked["source"],
        description=asked["description"],
        webhook_url=asked["webhook_url"],
        idempotency_key=key,
    )
    response = perform(key, door().application.accept_payment, order, _accepted, content)
    visit().payment_id = response.headers["Location"].rsplit("/", 1)[1]
    return response


@views.get("/<id>")
@authenticated()
def show(id: str) -> Response:
    payment_id = path_id(id)
    refuse_query()
    visit().payment_id = payment_id
    payment = door().application.get_payment(visit().merchant_id, payment_id)
    return ok({"payment": _shown.dump(payment)})


def _accepted(payment: Payment) -> StoredResponse:
    location = url_for("payments.show", id=payment.id)
    return StoredResponse(202, envelope(_shown.dump(payment)), location)
