"""Request and response bodies of payment batches."""

from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_web.access.idempotency import KEY_PATTERN, is_valid_key
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.fields import RequestSchema, ResponseSchema
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

MAX_ITEMS: Final = 1_000
"""Payments per batch. One commit takes about 0.1 s, for which locks are held."""

INVALID_KEY: Final = "Must be 1 to 255 visible ASCII characters."


@describe_validator({"pattern": f"^{KEY_PATTERN.pattern}$"})
def check_key(key: str) -> None:
    if not is_valid_key(key):
        raise ValidationError(INVALID_KEY)


class PaymentBatchItemSchema(NewPaymentSchema):
    """A payment of a batch, with an optional Idempotency-Key of its own."""

    idempotency_key = fields.String(
        data_key="idempotencyKey",
        validate=check_key,
        metadata={
            "description": "As in the Idempotency-Key header of a single payment, but without"
            " quotes. Must be unique in the batch."
        },
    )


class PaymentBatchSchema(RequestSchema):
    """The body of POST /payments/batch. For the OpenAPI document only: the view validates item by
    item, to report errors by the item's index. A test checks that both accept the same bodies."""

    payments = fields.List(
        fields.Nested(PaymentBatchItemSchema()),
        required=True,
        validate=validate.Length(1, MAX_ITEMS),
    )


class PaymentBatchResultSchema(ResponseSchema):
    """The payments of a batch, in the order of the request."""

    payments = fields.List(fields.Nested(PaymentSchema()), validate=validate.Length(1, MAX_ITEMS))
    replayed = fields.List(
        fields.Integer(validate=validate.Range(0, MAX_ITEMS - 1)),
        metadata={"description": "The indexes of the payments that an earlier request created."},
    )
