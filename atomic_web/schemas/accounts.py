"""Request and response bodies of accounts."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import ACCOUNT_TYPE, CURRENCY, NORMAL_SIDE, OneOfEnumeration
from atomic_web.schemas.fields import (
    INVALID_LENGTH,
    RequestSchema,
    ResponseSchema,
    Timestamp,
    check_currency,
)

MAX_NAME: Final = 200


class NewAccountSchema(RequestSchema):
    """The body of POST /accounts."""

    name = fields.String(required=True, validate=validate.Length(1, MAX_NAME, error=INVALID_LENGTH))
    currency = fields.String(required=True, validate=check_currency)


class PendingAmountsSchema(ResponseSchema):
    """Pending amounts, in minor units of the account's currency."""

    incoming = fields.Integer(
        data_key="in",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={
            "description": "Authorized, and neither captured nor canceled yet; and credits of "
            "pending ledger transactions."
        },
    )
    outgoing = fields.Integer(
        data_key="out",
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={
            "description": "Refunds that are not settled yet, and debits of pending ledger "
            "transactions."
        },
    )


class AccountSchema(ResponseSchema):
    """An account. Amounts are in minor units of its currency."""

    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    name = fields.String(validate=validate.Length(1, MAX_NAME))
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    type = fields.String(
        validate=OneOfEnumeration(ACCOUNT_TYPE),
    )
    normal_side = fields.String(data_key="normalSide", validate=OneOfEnumeration(NORMAL_SIDE))
    balance = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={
            "description": "The posted balance: credits less debits. Only disputes take it below 0."
        },
    )
    pending = fields.Nested(PendingAmountsSchema())
    available = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={
            "description": "`balance` less `pending.out`. Pending incoming amounts do not count."
        },
    )
    allow_negative = fields.Boolean(data_key="allowNegative")
    created_at = Timestamp(data_key="createdAt")
