"""Accounts on the wire (api.md)."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.fields import CODE, RequestSchema, ResponseSchema, Timestamp, check_currency

MAX_NAME: Final = 200


class NewAccountSchema(RequestSchema):
    """The body of POST /accounts."""

    name = fields.String(required=True, validate=validate.Length(1, MAX_NAME))
    currency = fields.String(required=True, validate=check_currency)


class AccountSchema(ResponseSchema):
    """An account, on its way out. `balance` is in minor units of its currency."""

    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    name = fields.String(validate=validate.Length(1, MAX_NAME))
    currency = fields.String(validate=CODE)
    balance = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT), metadata={"description": "In minor units."}
    )
    allow_negative = fields.Boolean(data_key="allowNegative")
    created_at = Timestamp(data_key="createdAt")
