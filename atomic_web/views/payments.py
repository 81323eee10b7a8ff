"""POST and GET /payments."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from flask import Blueprint, Response

from atomic_core.domain.errors import Forbidden
from atomic_core.domain.idempotency import STORE_TIME, StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Acceptance, Accepted, NewPayment
from atomic_web.auth import authenticated
from atomic_web.body import read_object
from atomic_web.context import BASE_PATH, door, visit
from atomic_web.idempotency import read_key, told, wanted
from atomic_web.ids import path_id, refuse_query
from atomic_web.responses import envelope, ok
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

views = Blueprint("payments", __name__, url_prefix="/payments")

_asked: Final = NewPaymentSchema()
_shown: Final = PaymentSchema()

_NOT_SHOWN: Final = UUID(int=0)
_NOT_KNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STORE_TIME: Final = orjson.Fragment(b'"' + STORE_TIME + b'"')
"""Taken over as it is; in a text, a NUL would be escaped."""


@views.post("")
@authenticated(limit="payments", confirms=True)
def create() -> Response:
    """Take a payment; 202, for it is settled later."""
    content = read_object()
    refuse_query()
    order = read_order(content, read_key())
    visiting = visit()
    answer = door().application.create_payment(
        visiting.known_caller, order, wanted(order.idempotency_key, content), _accepted
    )
    response = told(answer)
    visiting.payment_id = response.headers["Location"].rsplit("/", 1)[1]
    return response


@views.get("/<id>")
@authenticated(confirms=True)
def show(id: str) -> Response:
    payment_id = path_id(id)
    refuse_query()
    visiting = visit()
    visiting.payment_id = payment_id
    payment = door().application.get_payment.for_caller(visiting.known_caller, payment_id)
    return ok({"payment": _shown.dump(payment)})


def read_order(content: dict[str, Any], key: str | None) -> NewPayment:
    """A payment as it is asked for. Raises ValidationFailed, Forbidden."""
    asked = _asked.read(content)
    caller = visit().merchant_id
    if asked.get("merchant_id", str(caller)) != str(caller):
        raise Forbidden("merchantId must be the merchant this API key belongs to.")
    return NewPayment(
        merchant_id=caller,
        money=Money(asked["amount"], asked["currency"]),
        source=asked["source"],
        description=asked["description"],
        webhook_url=asked["webhook_url"],
        idempotency_key=key,
    )


def _accepted(payment_id: UUID, order: NewPayment, moment: datetime | None) -> StoredResponse:
    accepted = Accepted(_NOT_SHOWN, moment or _NOT_KNOWN)
    shown: Any = _shown.dump(Acceptance(payment_id, order).recorded(accepted))
    if moment is None:
        shown["createdAt"] = shown["updatedAt"] = _STORE_TIME
    return StoredResponse(202, envelope(shown), f"{BASE_PATH}/payments/{payment_id}")
