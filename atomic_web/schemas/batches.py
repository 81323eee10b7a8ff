"""Batches of payments on the wire (api.md)."""

from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_web.access.idempotency import VISIBLE, is_key
from atomic_web.schemas.descriptions import described
from atomic_web.schemas.fields import RequestSchema, ResponseSchema
from atomic_web.schemas.payments import NewPaymentSchema, PaymentSchema

MAX_ITEMS: Final = 1_000
"""One commit's worth: its locks are held, and its callers wait, for about a tenth of a second."""

KEY_FAULT: Final = "Must be 1 to 255 visible ASCII characters."


@described({"pattern": f"^{VISIBLE.pattern}$"})
def check_key(key: str) -> None:
    if not is_key(key):
        raise ValidationError(KEY_FAULT)


class BatchItemSchema(NewPaymentSchema):
    """A payment among others, with a key of its own if it likes."""

    idempotency_key = fields.String(
        data_key="idempotencyKey",
        validate=check_key,
        metadata={
            "description": "As in the header of a single POST, but bare; no two may be the same."
        },
    )


class BatchSchema(RequestSchema):
    """The body of POST /payments/batch. Its view judges item by item instead, to name each fault
    by its place; a test holds it to the same verdicts."""

    payments = fields.List(
        fields.Nested(BatchItemSchema()), required=True, validate=validate.Length(1, MAX_ITEMS)
    )


class BatchAnswerSchema(ResponseSchema):
    """All payments of a batch in order, on their way out."""

    payments = fields.List(fields.Nested(PaymentSchema()), validate=validate.Length(1, MAX_ITEMS))
    replayed = fields.List(
        fields.Integer(validate=validate.Range(0, MAX_ITEMS - 1)),
        metadata={"description": "The places of those that had been made before."},
    )
