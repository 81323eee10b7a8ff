"""Request and response bodies of accounts."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.accounts import AccountType, Side
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.fields import (
    CURRENCY_CODE,
    RequestSchema,
    ResponseSchema,
    Timestamp,
    check_currency,
)

MAX_NAME: Final = 200


class NewAccountSchema(RequestSchema):
    """The body of POST /accounts."""

    name = fields.String(required=True, validate=validate.Length(1, MAX_NAME))
    currency = fields.String(required=True, validate=check_currency)


class PendingAmountsSchema(ResponseSchema):
    """Pending amounts, in minor units of the account's currency."""

    incoming = fields.Integer(
        data_key="in",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "Authorized, and neither captured nor canceled yet."},
    )
    outgoing = fields.Integer(
        data_key="out",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "Refunds that are not settled yet."},
    )


class AccountSchema(ResponseSchema):
    """An account. Amounts are in minor units of its currency."""

    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    name = fields.String(validate=validate.Length(1, MAX_NAME))
    currency = fields.String(validate=CURRENCY_CODE)
    type = fields.String(
        validate=validate.OneOf([type.value for type in AccountType]),
        metadata={"description": "A merchant's account is a liability: Atomic owes its balance."},
    )
    normal_side = fields.String(
        data_key="normalSide",
        validate=validate.OneOf([side.value for side in Side]),
        metadata={"description": "The side of the entries that increase the balance."},
    )
    balance = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "The posted balance: credits less debits."},
    )
    pending = fields.Nested(PendingAmountsSchema())
    available = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={
            "description": "`balance` less `pending.out`. Pending incoming amounts do not count."
        },
    )
    allow_negative = fields.Boolean(data_key="allowNegative")
    created_at = Timestamp(data_key="createdAt")
