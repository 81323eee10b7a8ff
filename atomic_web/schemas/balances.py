"""Query parameters and response bodies of balances as of a moment."""

from datetime import date, datetime
from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.balances import (
    DEFAULT_HISTORY_DAYS,
    MAX_HISTORY_DAYS,
    TimeAxis,
    end_day,
    include_moment,
)
from atomic_web.http.query import InvalidParameter, Parameter
from atomic_web.schemas.accounts import PendingAmountsSchema
from atomic_web.schemas.enumerations import ACCOUNT_TYPE, CURRENCY, TIME_AXIS, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.filters import parse_member, parse_time_parameter
from atomic_web.schemas.times import DATE, TIME_SCHEMA

DATE_SCHEMA: Final = {"type": "string", "format": "date", "pattern": f"^{DATE.pattern}$"}

_INVALID_DATE: Final = "Must be a date, such as 2026-11-22."
_TOO_LATE: Final = "Must be before the year 9999."


def _parse_end(text: str) -> datetime:
    """The end of the entries that count. A date stands for its last moment."""
    moment = parse_time_parameter(text)
    try:
        return end_day(moment.date()) if DATE.fullmatch(text) else include_moment(moment)
    except OverflowError as error:
        raise InvalidParameter(_TOO_LATE) from error


def parse_date(text: str) -> date:
    """Raises InvalidParameter."""
    if not DATE.fullmatch(text):
        raise InvalidParameter(_INVALID_DATE)
    try:
        day = date.fromisoformat(text)
        end_day(day)
    except ValueError as error:
        raise InvalidParameter(_INVALID_DATE) from error
    except OverflowError as error:
        raise InvalidParameter(_TOO_LATE) from error
    return day


def _build_date_parameter(name: str, attribute: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        parse=parse_date,
        schema=dict(DATE_SCHEMA),
        description=description,
        example="2026-11-22",
    )


AT: Final = Parameter(
    name="at",
    attribute="before",
    parse=_parse_end,
    schema=dict(TIME_SCHEMA),
    description="Includes the entries up to this time: an RFC 3339 time, with all entries of its "
    "millisecond, or a date for the end of its day in UTC. Default: now. Encode the `+` of an "
    "offset as `%2B`.",
    example="2026-11-22",
)
AXIS: Final = Parameter(
    name="axis",
    attribute="axis",
    parse=lambda text: TimeAxis(parse_member(text, TIME_AXIS)),
    schema=TIME_AXIS.reference,
    description="The time of an entry that counts. Default: `posted`.",
    example="effective",
)
DAY_FROM: Final = _build_date_parameter(
    "from",
    "first",
    f"The first day (UTC). Default: {DEFAULT_HISTORY_DAYS - 1} days before the last one.",
)
DAY_TO: Final = _build_date_parameter(
    "to",
    "last",
    f"The last day (UTC), less than {MAX_HISTORY_DAYS} days after the first one. Default: today.",
)

BALANCE_QUERY: Final = (AT, AXIS)
HISTORY_QUERY: Final = (DAY_FROM, DAY_TO, AXIS)


class BalanceSchema(ResponseSchema):
    """The balance of an account as of a moment, in minor units."""

    account_id = fields.UUID(attribute="account.id", data_key="accountId")
    currency = fields.String(attribute="account.currency", validate=OneOfEnumeration(CURRENCY))
    axis = fields.String(validate=OneOfEnumeration(TIME_AXIS))
    at = Timestamp(metadata={"description": "Its entries are included."})
    balance = fields.Integer(metadata={"description": "Credits less debits."})
    sequence = fields.Integer(
        allow_none=True,
        validate=validate.Range(0),
        metadata={
            "description": "The number of the last entry; 0 without any. null on the effective "
            "axis, which has another order."
        },
    )
    pending = fields.Nested(
        PendingAmountsSchema(),
        allow_none=True,
        metadata={"description": "At present. null with `at`."},
    )
    available = fields.Integer(
        allow_none=True,
        metadata={"description": "The posted balance less `pending.out`. null with `at`."},
    )


class DayBalanceSchema(ResponseSchema):
    """The balance of an account at the end of a day."""

    day = fields.String(metadata={"format": "date", "description": "In UTC."})
    balance = fields.Integer()
    change = fields.Integer(metadata={"description": "Since the end of the day before."})


class BalanceHistorySchema(ResponseSchema):
    """The balances of an account per day, in minor units."""

    account_id = fields.UUID(attribute="account.id", data_key="accountId")
    currency = fields.String(attribute="account.currency", validate=OneOfEnumeration(CURRENCY))
    axis = fields.String(validate=OneOfEnumeration(TIME_AXIS))
    opening_balance = fields.Integer(
        data_key="openingBalance",
        metadata={"description": "At the beginning of the first day."},
    )
    days = fields.List(
        fields.Nested(DayBalanceSchema()),
        validate=validate.Length(1, MAX_HISTORY_DAYS),
        metadata={"description": "Oldest first, without gaps."},
    )


class TrialBalanceRowSchema(ResponseSchema):
    """The accounts of one type and currency."""

    type = fields.String(validate=OneOfEnumeration(ACCOUNT_TYPE))
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    accounts = fields.Integer(
        validate=validate.Range(1), metadata={"description": "How many there are."}
    )
    debit = fields.Integer(
        validate=validate.Range(0),
        metadata={"description": "The sum of balances below 0, without their sign."},
    )
    credit = fields.Integer(
        validate=validate.Range(0), metadata={"description": "The sum of balances above 0."}
    )
    balance = fields.Integer(metadata={"description": "`credit` less `debit`."})


class CurrencyTotalSchema(ResponseSchema):
    """The sum of all accounts in one currency."""

    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    debit = fields.Integer(validate=validate.Range(0))
    credit = fields.Integer(validate=validate.Range(0))
    difference = fields.Integer(metadata={"description": "`credit` less `debit`."})
    is_balanced = fields.Boolean(
        data_key="isBalanced", metadata={"description": "Whether `difference` is 0."}
    )


class TrialBalanceSchema(ResponseSchema):
    """The balances of all accounts of a merchant as of a moment, in minor units."""

    axis = fields.String(validate=OneOfEnumeration(TIME_AXIS))
    at = Timestamp(metadata={"description": "Its entries are included."})
    is_balanced = fields.Boolean(
        data_key="isBalanced",
        metadata={
            "description": "Whether the accounts sum to 0 in each currency. Money that came from "
            "payments is a difference: its counterpart is not in the merchant's accounts."
        },
    )
    rows = fields.List(
        fields.Nested(TrialBalanceRowSchema()), metadata={"description": "By currency and type."}
    )
    totals = fields.List(fields.Nested(CurrencyTotalSchema()))
