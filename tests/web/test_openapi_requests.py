"""The OpenAPI document and the API accept the same request bodies."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from atomic_web.context import BASE_PATH, CURRENT_CONTEXT, RequestContext
from atomic_web.schemas.batches import PaymentBatchSchema
from atomic_web.schemas.fields import RequestSchema
from web.conformance import Contract, pointer
from web.web_client import ACCOUNT_BODY, BATCH, PAYMENT_BODY, MerchantClient, WebApp

UNKNOWN = "01999999-0000-7000-8000-000000000000"
BODIES = {
    "/payments": PAYMENT_BODY,
    "/payments/batch": {"payments": [PAYMENT_BODY]},
    "/accounts": ACCOUNT_BODY,
}


ABSENT = object()
TRIED: dict[str, list[Any]] = {
    "amount": [ABSENT, None, True, "1", 0, -1, 1, 2**53 - 1, 2**53, 2**80, 1.5, [], {}],
    "currency": [ABSENT, None, 5, "", "USD", "usd", "USD\n", "XXX", ["USD"]],
    "source": [ABSENT, None, 5, "tok_", "tok_a", "tok_é", "tok_" + "a" * 60, "tok_" + "a" * 61],
    "description": [ABSENT, None, 5, "", "x", "é" * 500, "x" * 501, "a\x00b", "a\nb"],
    "merchantId": [ABSENT, None, 5, "", UNKNOWN, UNKNOWN.upper().replace("7", "A"), "own"],
    "webhookUrl": [ABSENT, None, 5, "", "ftp://a.example/", "HTTPS://a.example", "https://a@b.c"],
    "idempotencyKey": [ABSENT, None, 5, "", "k", "k" * 255, "k" * 256, "a b", "é", 'a,"b"'],
    "name": [ABSENT, None, 5, "", "Sales", "é" * 200, "x" * 201, "\x00"],
    "other": [ABSENT, None, 5],
}


def build_variants(good: dict[str, Any], own: str) -> Iterator[dict[str, Any]]:
    """The good body with each member replaced by each value in TRIED."""
    for member, values in TRIED.items():
        for value in values:
            body = {**good, member: own if value == "own" else value}
            yield {name: value for name, value in body.items() if value is not ABSENT}


def is_accepted_by_schema(web: WebApp, schema: RequestSchema, body: dict[str, Any]) -> bool:
    context = CURRENT_CONTEXT.set(RequestContext(web.application, web.settings, "r-1", UUID(int=1)))
    try:
        return not schema.validate(body)
    finally:
        CURRENT_CONTEXT.reset(context)


@pytest.mark.parametrize("path", BODIES)
def test_document_and_api_accept_the_same_bodies(
    web: WebApp, merchant: MerchantClient, contract: Contract, path: str
) -> None:
    """So does the batch schema, which the view does not use."""
    within = pointer("paths", path, "post", "requestBody", "content", "application/json", "schema")
    batched = path == "/payments/batch"
    good = PAYMENT_BODY if batched else BODIES[path]
    verdicts = {True: 0, False: 0}
    for content in build_variants(good, str(merchant.merchant_id)):
        body = {"payments": [content]} if batched else content
        is_valid = contract.validator(within).is_valid(body)
        assert (merchant.post(BASE_PATH + path, body).status_code != 400) == is_valid, body
        # NUL is refused before any schema is used.
        if batched and "\x00" not in str(content.get("description")):
            assert is_accepted_by_schema(web, PaymentBatchSchema(), body) == is_valid, body
        verdicts[is_valid] += 1
    assert min(verdicts.values()) > 5, "the bodies must include valid and invalid ones"


@pytest.mark.parametrize(
    "payments", [[], None, 5, {}, [PAYMENT_BODY] * 1_001, [5], [PAYMENT_BODY, None]]
)
def test_document_and_api_refuse_the_same_batches(
    merchant: MerchantClient, contract: Contract, payments: Any
) -> None:
    body = {"payments": payments}
    assert not contract.validator(pointer("components", "schemas", "PaymentBatch")).is_valid(body)
    assert merchant.post(BATCH, body).status_code == 400
