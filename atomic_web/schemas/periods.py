"""Request and response bodies of ledger periods."""

from datetime import date
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.lists import MAX_LIMIT
from atomic_web.http.query import InvalidParameter
from atomic_web.schemas.balances import DATE_SCHEMA, parse_date
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.enumerations import CURRENCY, OneOfEnumeration
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema, build_items_field

DIGEST_LENGTH: Final = 64
"""Hexadecimal digits."""


@describe_validator(DATE_SCHEMA)
def _check_date(text: str) -> None:
    try:
        parse_date(text)
    except InvalidParameter as error:
        raise ValidationError(str(error)) from error


class ClosingSchema(RequestSchema):
    """The body of POST /ledger/periods/close."""

    end_date = fields.String(
        data_key="endDate",
        required=True,
        validate=_check_date,
        metadata={
            "description": "The last day (UTC) of the period. Before today, and after the last "
            "closed day."
        },
    )


def build_end_date(values: dict[str, Any]) -> date:
    return parse_date(values["end_date"])


class PeriodSchema(ResponseSchema):
    """A closed period of the merchant's books."""

    id = fields.UUID()
    start_date = fields.String(
        attribute="start",
        data_key="startDate",
        allow_none=True,
        metadata={
            "format": "date",
            "description": "Its first day (UTC): the day after the period before. null: the first "
            "period.",
        },
    )
    end_date = fields.String(
        attribute="end",
        data_key="endDate",
        metadata={"format": "date", "description": "Its last day."},
    )
    closed_at = Timestamp(data_key="closedAt")
    accounts = fields.Integer(
        validate=validate.Range(0), metadata={"description": "How many closing balances it has."}
    )
    digest = fields.String(
        attribute="digest_hex",
        validate=validate.Length(DIGEST_LENGTH, DIGEST_LENGTH),
        metadata={
            "description": "SHA-256, in hexadecimal digits, of the period with its closing "
            "balances and the digest of the period before."
        },
    )
    previous_digest = fields.String(
        attribute="previous_digest_hex",
        data_key="previousDigest",
        allow_none=True,
        validate=validate.Length(DIGEST_LENGTH, DIGEST_LENGTH),
        metadata={"description": "That of the period before. null: the first period."},
    )


class ClosingBalanceSchema(ResponseSchema):
    """The balance of an account on the effective axis at the end of a period."""

    account_id = fields.UUID(data_key="accountId")
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    balance = fields.Integer(metadata={"description": "In minor units."})


class PeriodPageSchema(PageSchema):
    items = build_items_field(PeriodSchema())


class ClosingBalancePageSchema(PageSchema):
    items = fields.List(
        fields.Nested(ClosingBalanceSchema()),
        validate=validate.Length(0, MAX_LIMIT),
        metadata={"description": "In the order of account ids, which is that of the digest."},
    )
