"""The schemas' own parse and dump give the same results as marshmallow's."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from marshmallow import Schema, ValidationError

from atomic_adapters.wiring import in_memory
from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import Money
from atomic_core.domain.payments import Payment, Status
from atomic_web.context import CURRENT_CONTEXT, RequestContext
from atomic_web.schemas.accounts import AccountSchema, NewAccountSchema
from atomic_web.schemas.fields import RequestSchema, ResponseSchema
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema, _parse_common_request
from web.web_client import settings

MOMENT = datetime(2026, 11, 22, 15, 30, 13, 153_999, tzinfo=UTC)
PAYMENT = Payment(
    id=UUID(int=1),
    merchant_id=UUID(int=2),
    account_id=UUID(int=3),
    money=Money(5_000, "USD"),
    source="tok_visa",
    description="Order",
    status=Status.PENDING,
    idempotency_key=None,
    webhook_url=None,
    failure_reason=None,
    created_at=MOMENT,
    updated_at=MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))),
)
FAILED = replace(
    PAYMENT,
    status=Status.FAILED,
    idempotency_key="k",
    webhook_url="https://shop.example",
    failure_reason="card_declined",
)
ACCOUNT = Account(UUID(int=1), UUID(int=2), "Sales", "USD", False, 5, 1, bytes(32), MOMENT)


@pytest.mark.parametrize(
    ("schema", "obj"),
    [
        (PaymentSchema(), PAYMENT),
        (PaymentSchema(), FAILED),
        (AccountSchema(), ACCOUNT),
        (AccountSchema(), replace(ACCOUNT, merchant_id=None, allow_negative=True)),
    ],
)
def test_dump_equals_marshmallows_dump(schema: ResponseSchema, obj: Any) -> None:
    expected: Any = Schema.dump(schema, obj)
    assert schema.dump(obj) == expected
    assert list(schema.dump(obj)) == list(expected)
    assert [type(value) for value in schema.dump(obj).values()] == [
        type(value) for value in expected.values()
    ]


VALID: dict[str, Any] = {
    "amount": 1,
    "currency": "USD",
    "source": "tok_visa",
    "merchantId": str(UUID(int=2)),
    "description": "Order",
    "webhookUrl": "https://shop.example/hook",
    "name": "Sales",
}
FIELDS = {
    NewPaymentSchema: ("amount", "currency", "source", "merchantId", "description", "webhookUrl"),
    NewAccountSchema: ("name", "currency"),
}
ABSENT = object()
INVALID = [ABSENT, None, True, 0, -1, 1, 2**80, 1.0, "", "x", "USD", [], {}]


def build_requests(schema: RequestSchema) -> Iterator[dict[str, Any]]:
    """A valid request, and requests with one or two fields invalid, absent or unknown."""
    good = {key: VALID[key] for key in FIELDS[type(schema)]}
    yield good
    for name, other in product([*good, "other", "merchant_id"], [*good, "another"]):
        for value in INVALID:
            body = good | {name: value, other: value}
            yield {key: value for key, value in body.items() if value is not ABSENT}
            yield {
                key: value for key, value in (good | {name: value}).items() if value is not ABSENT
            }


@pytest.mark.parametrize("schema", [NewPaymentSchema(), NewAccountSchema()])
def test_parse_equals_marshmallows_load(schema: RequestSchema) -> None:
    context = CURRENT_CONTEXT.set(RequestContext(in_memory(), settings(), "r-1", UUID(int=1)))
    try:
        outcomes = {check_parse(schema, content) for content in build_requests(schema)}
    finally:
        CURRENT_CONTEXT.reset(context)
    assert outcomes == {True, False}, "the requests must include valid and invalid ones"


def check_parse(schema: RequestSchema, content: dict[str, Any]) -> bool:
    """Whether the request is valid."""
    try:
        expected = schema.load(content)
    except ValidationError as error:
        messages = error.normalized_messages()
    else:
        assert schema.parse(content) == expected
        return True
    with pytest.raises(ValidationFailed) as raised:
        schema.parse(content)
    assert raised.value.details == messages
    return False


COMMON_VALUES = {
    "amount": [*INVALID, 2**53 - 1, 2**53, 1 << 70],
    "currency": ["USD", "EUR", "USD\n", "XXX", ABSENT, None, 5, ["USD"]],
    "source": ["tok_a", "tok_a\n", "tok_", "tok_" + "a" * 61, ABSENT, None, 5],
    "description": ["x", "", "x" * 500, "x" * 501, ABSENT, None, 5],
    "merchantId": [ABSENT, "x"],
}


def test_shortcut_of_payment_parsing_equals_the_schema() -> None:
    context = CURRENT_CONTEXT.set(RequestContext(in_memory(), settings(), "r-1", UUID(int=1)))
    shortcut_count = 0
    try:
        for values in product(*COMMON_VALUES.values()):
            value = zip(COMMON_VALUES, values, strict=True)
            content = {key: value for key, value in value if value is not ABSENT}
            values_of_shortcut = _parse_common_request(content)
            if values_of_shortcut is not None:
                assert values_of_shortcut == NewPaymentSchema().load(content)
                shortcut_count += 1
    finally:
        CURRENT_CONTEXT.reset(context)
    assert shortcut_count == 12, "two amounts, two currencies, three descriptions"
