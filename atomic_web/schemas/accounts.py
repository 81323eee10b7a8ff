"""Accounts on the wire (api.md)."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.accounts import AccountType, Side
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.fields import CODE, RequestSchema, ResponseSchema, Timestamp, check_currency

MAX_NAME: Final = 200


class NewAccountSchema(RequestSchema):
    """The body of POST /accounts."""

    name = fields.String(required=True, validate=validate.Length(1, MAX_NAME))
    currency = fields.String(required=True, validate=check_currency)


class PendingSchema(ResponseSchema):
    """What is pending in an account, in minor units of its currency."""

    incoming = fields.Integer(
        data_key="in",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "Authorized, and neither captured nor let go yet."},
    )
    outgoing = fields.Integer(
        data_key="out",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "Refunds on their way to the card network."},
    )


class AccountSchema(ResponseSchema):
    """An account, on its way out. Amounts are in minor units of its currency."""

    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    name = fields.String(validate=validate.Length(1, MAX_NAME))
    currency = fields.String(validate=CODE)
    type = fields.String(
        validate=validate.OneOf([type.value for type in AccountType]),
        metadata={"description": "A merchant's account is a liability: what is in it is owed."},
    )
    normal_side = fields.String(
        data_key="normalSide",
        validate=validate.OneOf([side.value for side in Side]),
        metadata={"description": "The side that makes it grow."},
    )
    balance = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "Posted: what came in less what went out."},
    )
    pending = fields.Nested(PendingSchema())
    available = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={
            "description": "`balance` less `pending.out`. What is yet to come in does not count."
        },
    )
    allow_negative = fields.Boolean(data_key="allowNegative")
    created_at = Timestamp(data_key="createdAt")
