"""POST /payments/batch: many payments in one commit, each as if posted alone."""

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from flask import Blueprint, Response

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.domain.origins import Origin
from atomic_core.use_cases.idempotency import IdempotentResult
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from atomic_web import metrics
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    build_idempotent_request,
    execute_idempotently,
    is_valid_key,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.access.rate_limiting import count_against_limit
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object
from atomic_web.http.query import MAX_REPORTED_ERRORS, refuse_query_parameters
from atomic_web.http.responses import render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import PAYEE_CONFLICT
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.payment_requests import PATH, parse_payment_request, render_accepted_payment
from atomic_web.schemas.batches import (
    INVALID_KEY,
    MAX_ITEMS,
    PaymentBatchResultSchema,
    PaymentBatchSchema,
)
from atomic_web.schemas.fields import describe_unknown_field
from atomic_web.schemas.payments import PaymentSchema

KEY: Final = "idempotencyKey"

ITEMS_PER_TURN: Final = 100
"""Payments that are validated before other requests run: about five milliseconds."""

views = Blueprint("batches", __name__, url_prefix="/payments/batch")

_response_schema: Final = PaymentBatchResultSchema()


class _BatchResult(NamedTuple):
    payments: Sequence[Any]
    replayed: Sequence[int]


CREATE: Final = Operation(
    id="createPayments",
    summary="Create many payments, all or none",
    description="Each payment is handled as if posted alone, but all are stored in one commit. The "
    "`payments` limit counts payments, not requests.",
    body=PaymentBatchSchema(),
    body_examples={
        "two": {
            "payments": [
                {**examples.NEW_PAYMENT, "idempotencyKey": "order-4711"},
                {**examples.NEW_PAYMENT, "amount": 700},
            ]
        }
    },
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=202,
            description="All payments are accepted and will be settled.",
            data=_response_schema,
            examples={"one": _BatchResult([PaymentSchema().dump(examples.PENDING)], [])},
            links={"first": build_link("getPayment", "/data/payments/0/id")},
        ),
    ),
    error_responses=(PAYEE_CONFLICT,),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.PAYMENTS_WRITE)
def create() -> Response:
    context = request_context()
    content = read_json_object(context.settings.batch_body_limit)
    refuse_query_parameters()
    payments = _get_payments(content)
    # Before the payments are validated, so that invalid ones count against the limit as well.
    count_against_limit("payments", len(payments))
    key = read_idempotency_key()
    items = _parse_items(payments)
    if key is not None and any(item.request and item.request.key == key for item in items):
        raise ValidationFailed(
            details={IDEMPOTENCY_KEY: ["Must differ from the keys of the payments."]}
        )
    if any(item.new_payment.webhook_url is not None for item in items):
        context.application.webhooks.ensure_default_endpoint(context.merchant_id, build_origin())
    batch = PaymentBatch(context.merchant_id, items, render_accepted_payment)
    create_batch = context.application.payments.create_batch
    response = execute_idempotently(key, create_batch, batch, _render_batch, content)
    context.payment_count = len(payments)
    return response


def _get_payments(content: dict[str, Any]) -> list[Any]:
    message = describe_unknown_field(["payments"])
    unknown = {name: [message] for name in sorted(content.keys() - {"payments"})}
    if unknown:
        raise ValidationFailed(details=dict(list(unknown.items())[:MAX_REPORTED_ERRORS]))
    payments = content.get("payments")
    if not isinstance(payments, list) or not 1 <= len(payments) <= MAX_ITEMS:
        message = f"Must be a list of 1 to {MAX_ITEMS} payments."
        raise ValidationFailed(details={"payments": [message]})
    return payments


def _parse_items(payments: Sequence[Any]) -> Sequence[BatchItem]:
    """Raises OtherMerchantGiven, and ValidationFailed with the errors of all items by index."""
    origin = build_origin()
    items: list[BatchItem] = []
    errors: dict[str, Sequence[str]] = {}
    first_index_by_key: dict[str, int] = {}
    for index, content in enumerate(payments):
        if index and index % ITEMS_PER_TURN == 0:
            time.sleep(0)  # switches greenlets
        try:
            item = _parse_item(content, origin)
        except ValidationFailed as error:
            details = error.details or {"": [error.message]}
            for name, messages in details.items():
                errors[f"payments.{index}.{name}".rstrip(".")] = messages
            if len(errors) >= MAX_REPORTED_ERRORS:
                break
            continue
        items.append(item)
        if item.request:
            first_index = first_index_by_key.setdefault(item.request.key, index)
            if first_index != index:
                errors[f"payments.{index}.{KEY}"] = [
                    f"Must differ from the key of payments.{first_index}."
                ]
    if errors:
        raise ValidationFailed(details=dict(list(errors.items())[:MAX_REPORTED_ERRORS]))
    return items


def _parse_item(content: Any, origin: Origin) -> BatchItem:
    if not isinstance(content, dict):
        raise ValidationFailed("Must be a JSON object.")
    if KEY not in content:
        return BatchItem(parse_payment_request(content, None, origin))
    key = content[KEY]
    if not isinstance(key, str) or not is_valid_key(key):
        raise ValidationFailed(details={KEY: [INVALID_KEY]})
    # Without the key, so that the same payment posted alone, with the key in its header, is the
    # same request.
    payment = {name: value for name, value in content.items() if name != KEY}
    request = build_idempotent_request("POST", PATH, key, payment)
    return BatchItem(parse_payment_request(payment, key, origin), request)


def _render_batch(results: Sequence[IdempotentResult]) -> StoredResponse:
    payments = [orjson.loads(result.response.body)["data"] for result in results]
    replayed = [index for index, result in enumerate(results) if result.replayed]
    metrics.IDEMPOTENCY_REPLAYS.inc(len(replayed))
    data = _response_schema.dump(_BatchResult(payments, replayed))
    return StoredResponse(202, render_envelope(data))
