"""POST /payments/batch: each payment as if it had been posted alone, all in one commit."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from flask import Blueprint, Response

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.idempotency import Answer
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from atomic_web.access.authentication import authenticated
from atomic_web.access.idempotency import HEADER, is_key, perform, read_key, request_for
from atomic_web.access.rate_limiting import count_against
from atomic_web.context import request_context
from atomic_web.http.body import read_object
from atomic_web.http.ids import refuse_query
from atomic_web.http.responses import envelope
from atomic_web.openapi import examples
from atomic_web.openapi.headers import linked
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.payment_requests import PATH, accepted, parse_payment_request
from atomic_web.schemas.batches import KEY_FAULT, MAX_ITEMS, BatchAnswerSchema, BatchSchema
from atomic_web.schemas.fields import MAX_FAULTS
from atomic_web.schemas.payments import PaymentSchema

KEY: Final = "idempotencyKey"

views = Blueprint("batches", __name__, url_prefix="/payments/batch")

_shown: Final = BatchAnswerSchema()


class _Batch(NamedTuple):
    payments: Sequence[Any]
    replayed: Sequence[int]


CREATE: Final = Operation(
    id="createPayments",
    summary="Take many payments, all or none",
    description="Each as if it had been posted alone, but in one commit. The payments limit counts "
    "payments, not calls.",
    body=BatchSchema(),
    requests={
        "two": {
            "payments": [
                {**examples.NEW_PAYMENT, "idempotencyKey": "order-4711"},
                {**examples.NEW_PAYMENT, "amount": 700},
            ]
        }
    },
    parameters=(HEADER,),
    answers=(
        Success(
            status=202,
            description="All are recorded and will be settled.",
            data=_shown,
            examples={"one": _Batch([PaymentSchema().dump(examples.PENDING)], [])},
            links={"first": linked("getPayment", "/data/payments/0/id")},
        ),
    ),
)


@views.post("")
@documented(CREATE)
@authenticated(scope=Scope.PAYMENTS_WRITE)
def create() -> Response:
    """Take all payments or none; 202."""
    context = request_context()
    content = read_object(context.app_context.settings.batch_body_limit)
    refuse_query()
    listed = _listed(content)
    # Now that it is known how many they are, and before any is looked at.
    count_against("payments", len(listed))
    key = read_key()
    items = _read_items(listed)
    if key is not None and any(item.request and item.request.key == key for item in items):
        raise ValidationFailed(details={HEADER: ["Is also the key of one of the payments."]})
    batch = PaymentBatch(context.merchant_id, items, accepted)
    response = perform(
        key, context.app_context.application.payments.create_batch, batch, _answered, content
    )
    context.payments = len(listed)
    return response


def _listed(content: dict[str, Any]) -> list[Any]:
    unknown = {name: ["Unknown field."] for name in sorted(content.keys() - {"payments"})}
    if unknown:
        raise ValidationFailed(details=dict(list(unknown.items())[:MAX_FAULTS]))
    listed = content.get("payments")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_ITEMS:
        raise ValidationFailed(details={"payments": [f"Must be a list of 1 to {MAX_ITEMS}."]})
    return listed


def _read_items(listed: Sequence[Any]) -> Sequence[BatchItem]:
    """Raises ValidationFailed with the faults of all items, by their place; Forbidden."""
    items: list[BatchItem] = []
    faults: dict[str, Sequence[str]] = {}
    places: dict[str, int] = {}
    for place, content in enumerate(listed):
        try:
            item = _read_item(content)
        except ValidationFailed as failed:
            told = failed.details or {"": [failed.message]}
            faults |= {f"payments.{place}.{name}".rstrip("."): why for name, why in told.items()}
            if len(faults) >= MAX_FAULTS:
                break
            continue
        items.append(item)
        if item.request:
            first = places.setdefault(item.request.key, place)
            if first != place:
                faults[f"payments.{place}.{KEY}"] = [f"Is that of payments.{first} too."]
    if faults:
        raise ValidationFailed(details=dict(list(faults.items())[:MAX_FAULTS]))
    return items


def _read_item(content: Any) -> BatchItem:
    if not isinstance(content, dict):
        raise ValidationFailed("Must be a JSON object.")
    if KEY not in content:
        return BatchItem(parse_payment_request(content, None))
    key = content[KEY]
    if not isinstance(key, str) or not is_key(key):
        raise ValidationFailed(details={KEY: [KEY_FAULT]})
    # The key is no part of what is asked: the same content posted alone, with the key in its
    # header, is the same request.
    alone = {name: value for name, value in content.items() if name != KEY}
    return BatchItem(parse_payment_request(alone, key), request_for("POST", PATH, key, alone))


def _answered(answers: Sequence[Answer]) -> StoredResponse:
    payments = [orjson.loads(answer.response.body)["data"] for answer in answers]
    replayed = [place for place, answer in enumerate(answers) if answer.replayed]
    return StoredResponse(202, envelope(_shown.dump(_Batch(payments, replayed))))
