"""Request and response bodies of accounts."""

from typing import Any

from marshmallow import fields, validate

from atomic_core.domain.accounts import AccountTerms, AccountType
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.enumerations import (
    ACCOUNT_STATUS,
    ACCOUNT_TYPE,
    CURRENCY,
    NORMAL_SIDE,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import (
    INVALID_LENGTH,
    RequestSchema,
    ResponseSchema,
    Timestamp,
    check_currency,
)
from atomic_web.schemas.filters import MAX_EXTERNAL_ID, MAX_NAME
from atomic_web.schemas.metadata import (
    INVALID_METADATA,
    build_metadata_input,
    build_metadata_output,
    check_metadata,
)


def _build_limit(name: str, low: int, high: int, description: str) -> fields.Integer:
    return fields.Integer(
        data_key=name,
        strict=True,
        allow_none=True,
        validate=validate.Range(low, high),
        metadata={"description": description},
    )


class NewAccountSchema(RequestSchema):
    """The body of POST /accounts."""

    name = fields.String(
        required=True,
        validate=validate.Length(1, MAX_NAME, error=INVALID_LENGTH),
        metadata={"description": "May be a path of segments, such as `wallets:alice`."},
    )
    currency = fields.String(required=True, validate=check_currency)
    type = fields.String(
        load_default=AccountType.LIABILITY.value,
        validate=OneOfEnumeration(ACCOUNT_TYPE),
        metadata={"description": "Payments credit the oldest liability that is not closed."},
    )
    external_id = fields.String(
        data_key="externalId",
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, MAX_EXTERNAL_ID, error=INVALID_LENGTH),
        metadata={"description": "The merchant's own id. Unique among its accounts."},
    )
    metadata = build_metadata_input()
    min_balance = _build_limit(
        "minBalance",
        -MAX_AMOUNT,
        0,
        "The lowest `available` amount. null: no limit. Default: 0 for a liability, null for the"
        " other types. Only disputes take an account below it.",
    )
    max_balance = _build_limit(
        "maxBalance",
        0,
        MAX_AMOUNT,
        "The highest balance, with what is pending into it. null or absent: no limit. Only won"
        " disputes take an account above it.",
    )


class AccountUpdateSchema(RequestSchema):
    """The body of PATCH /accounts/{id}. What is absent does not change."""

    name = fields.String(validate=validate.Length(1, MAX_NAME, error=INVALID_LENGTH))
    metadata = fields.Dict(
        validate=check_metadata,
        error_messages={"invalid": INVALID_METADATA},
        metadata={"description": "Replaces all pairs."},
    )
    status = fields.String(
        validate=OneOfEnumeration(ACCOUNT_STATUS),
        metadata={"description": "CLOSED requires a balance of 0 and nothing pending."},
    )


def build_terms(values: dict[str, Any]) -> AccountTerms:
    """From a parsed NewAccountSchema."""
    type = AccountType(values["type"])
    default_minimum = 0 if type is AccountType.LIABILITY else None
    return AccountTerms(
        type,
        values.get("min_balance", default_minimum),
        values.get("max_balance"),
        values["external_id"],
        values["metadata"],
    )


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


class PendingSumsSchema(ResponseSchema):
    """Sums of pending amounts."""

    incoming = fields.Integer(data_key="in", validate=validate.Range(0))
    outgoing = fields.Integer(data_key="out", validate=validate.Range(0))


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
        metadata={"description": "The posted balance: credits less debits, for every type."},
    )
    pending = fields.Nested(PendingAmountsSchema())
    available = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={
            "description": "`balance` less `pending.out`. Pending incoming amounts do not count."
        },
    )
    allow_negative = fields.Boolean(
        data_key="allowNegative",
        attribute="can_be_negative",
        metadata={"description": "Whether `minBalance` is below 0, or null."},
    )
    created_at = Timestamp(data_key="createdAt")
    status = fields.String(validate=OneOfEnumeration(ACCOUNT_STATUS))
    min_balance = fields.Integer(
        data_key="minBalance", allow_none=True, validate=validate.Range(-MAX_AMOUNT, 0)
    )
    max_balance = fields.Integer(
        data_key="maxBalance", allow_none=True, validate=validate.Range(0, MAX_AMOUNT)
    )
    external_id = fields.String(data_key="externalId", allow_none=True)
    metadata = build_metadata_output()


class SubtreeBalanceSchema(ResponseSchema):
    """The sums of accounts of one currency, in its minor units. They can exceed what JSON readers
    keep exact: a single account cannot."""

    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    accounts = fields.Integer(
        validate=validate.Range(1), metadata={"description": "How many there are."}
    )
    balance = fields.Integer()
    pending = fields.Nested(PendingSumsSchema(), attribute="pending")
    available = fields.Integer(metadata={"description": "`balance` less `pending.out`."})


class SubtreeBalancesSchema(ResponseSchema):
    """The balances of the accounts whose names have a prefix."""

    prefix = fields.String(allow_none=True)
    items = fields.List(
        fields.Nested(SubtreeBalanceSchema()), metadata={"description": "By currency."}
    )
