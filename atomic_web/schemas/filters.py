"""The query parameters of lists. To add a filter, declare it here and add it to the query of its
list at the end; its `attribute` is the field of the filter in atomic_core/domain/lists.py."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from atomic_core.domain.accounts import AccountType
from atomic_core.domain.disputes import DisputeStatus
from atomic_core.domain.lists import DEFAULT_LIMIT, MAX_LIMIT
from atomic_core.domain.money import CURRENCY_EXPONENTS, MAX_AMOUNT
from atomic_core.domain.payments import Status
from atomic_web.http.cursors import MAX_LENGTH
from atomic_web.http.ids import INVALID_UUID, parse_canonical_uuid
from atomic_web.http.query import InvalidParameter, MapParameter, Parameter
from atomic_web.schemas import enumerations
from atomic_web.schemas.descriptions import UUID_SCHEMA
from atomic_web.schemas.enumerations import Enumeration
from atomic_web.schemas.metadata import MAX_KEY, MAX_VALUE, METADATA_SCHEMA
from atomic_web.schemas.times import INVALID_TIME, RFC3339, TIME_SCHEMA, parse_time

MAX_PAIRS: Final = 5
"""Each pair after the first is checked on every payment that has the first."""

MAX_EXTERNAL_ID: Final = 255

MAX_NAME: Final = 200
"""Characters of the name of an account."""

_POSITIVE_INTEGER: Final = re.compile(r"[1-9][0-9]{0,15}")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,15}")
_CURSOR: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_LENGTH}}}")

_INVALID_TIME: Final = f"{INVALID_TIME} Encode the + of an offset as %2B."
_UNENCODED_PLUS: Final = (
    "Contains a space where an offset has its +, which a query must contain as %2B: for example"
    " 2026-11-22T15:30:13%2B01:00."
)


def _parse_limit(text: str) -> int:
    if not _POSITIVE_INTEGER.fullmatch(text) or int(text) > MAX_LIMIT:
        raise InvalidParameter(f"Must be an integer from 1 to {MAX_LIMIT}.")
    return int(text)


def _parse_cursor(text: str) -> str:
    if not _CURSOR.fullmatch(text):
        raise InvalidParameter("Must be the nextCursor of the previous page.")
    return text


def _parse_amount(text: str) -> int:
    if not _POSITIVE_INTEGER.fullmatch(text) or int(text) > MAX_AMOUNT:
        raise InvalidParameter(f"Must be an integer number of minor units from 1 to {MAX_AMOUNT}.")
    return int(text)


def _parse_balance(text: str) -> int:
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_AMOUNT:
        raise InvalidParameter(
            f"Must be an integer number of minor units from -{MAX_AMOUNT} to {MAX_AMOUNT}."
        )
    return int(text)


def _parse_prefix(text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME:
        raise InvalidParameter(f"Must have 1 to {MAX_NAME} characters.")
    return text


def _parse_currency(text: str) -> str:
    # Any currency: existing payments may have one that is no longer enabled.
    if text not in CURRENCY_EXPONENTS:
        raise InvalidParameter("Must be an ISO 4217 currency code.")
    return text


def parse_time_parameter(text: str) -> datetime:
    """A date is its first instant in UTC, for both bounds: the lower one includes the day, and the
    upper one, which is exclusive, does not."""
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        is_plus_missing = " " in text and RFC3339.fullmatch(text.replace(" ", "+"))
        raise InvalidParameter(_UNENCODED_PLUS if is_plus_missing else _INVALID_TIME) from error


def parse_member(text: str, enumeration: Enumeration) -> str:
    if text not in enumeration.values:
        raise InvalidParameter(f"Must be one of {', '.join(sorted(enumeration.values))}.")
    return text


def parse_uuid(text: str) -> Any:
    id = parse_canonical_uuid(text)
    if id is None:
        raise InvalidParameter(INVALID_UUID)
    return id


def _parse_external_id(text: str) -> str:
    if not 1 <= len(text) <= MAX_EXTERNAL_ID:
        raise InvalidParameter(f"Must have 1 to {MAX_EXTERNAL_ID} characters.")
    return text


def _parse_metadata_key(text: str) -> str:
    if not 1 <= len(text) <= MAX_KEY:
        raise InvalidParameter(f"A metadata key must have 1 to {MAX_KEY} characters.")
    return text


def _parse_metadata_value(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise InvalidParameter(f"A metadata value must have at most {MAX_VALUE} characters.")
    return text


def _build_amount_filter(name: str, attribute: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        parse=_parse_amount,
        schema={"type": "integer", "minimum": 1, "maximum": MAX_AMOUNT},
        description=description,
        example=5_000,
    )


def _build_balance_filter(name: str, attribute: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        parse=_parse_balance,
        schema={"type": "integer", "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT},
        description="Of the posted balance, in minor units, inclusive.",
        example=5_000,
    )


def _build_time_filter(name: str, attribute: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        parse=parse_time_parameter,
        schema=dict(TIME_SCHEMA),
        description=f"{description} An RFC 3339 time, or a date for the start of its day in UTC. "
        "Encode the `+` of an offset as `%2B`.",
        example="2026-11-22T15:30:13.153Z",
    )


def _build_status_filter(component: str, statuses: Enumeration) -> Parameter:
    return Parameter(
        name="status",
        attribute="statuses",
        parse=lambda text: Status(parse_member(text, statuses)),
        schema={"type": "array", "items": statuses.reference},
        description="May be repeated, to match any of several.",
        example=["SUCCESS"],
        component=component,
        is_repeatable=True,
    )


LIMIT: Final = Parameter(
    name="limit",
    attribute="limit",
    parse=_parse_limit,
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    description=f"The maximum number of items on a page. Default: {DEFAULT_LIMIT}.",
    example=DEFAULT_LIMIT,
)
CURSOR: Final = Parameter(
    name="cursor",
    attribute="cursor",
    parse=_parse_cursor,
    schema={"type": "string", "pattern": f"^{_CURSOR.pattern}$"},
    description="The `nextCursor` of the previous page. Valid for the same list and filters only; "
    "`limit` may change.",
    example="AZiVz1Jb1mGSAAZGX8xN0QGSZGWZcACAAAAAAAAAAAE",
)
CURRENCY: Final = Parameter(
    name="currency",
    attribute="currency",
    parse=_parse_currency,
    schema=enumerations.CURRENCY.reference,
    description="In this currency.",
    example="USD",
)
CREATED_FROM: Final = _build_time_filter(
    "createdFrom", "created_from", "Created at this time or later."
)
CREATED_TO: Final = _build_time_filter("createdTo", "created_to", "Created before this time.")
AMOUNT_MIN: Final = _build_amount_filter("amountMin", "amount_min", "In minor units, inclusive.")
AMOUNT_MAX: Final = _build_amount_filter("amountMax", "amount_max", "In minor units, inclusive.")
PAYMENT_STATUS: Final = _build_status_filter("paymentStatus", enumerations.PAYMENT_STATUS)
REFUND_STATUS: Final = _build_status_filter("refundStatus", enumerations.REFUND_STATUS)
PAYMENT_ID: Final = Parameter(
    name="paymentId",
    attribute="payment_id",
    parse=parse_uuid,
    schema=dict(UUID_SCHEMA),
    description="The payment that is refunded.",
    example="0199c0de-0000-7000-8000-000000000001",
)
DISPUTE_STATUS: Final = Parameter(
    name="status",
    attribute="statuses",
    parse=lambda text: DisputeStatus(parse_member(text, enumerations.DISPUTE_STATUS)),
    schema={"type": "array", "items": enumerations.DISPUTE_STATUS.reference},
    description="May be repeated, to match any of several.",
    example=["NEEDS_RESPONSE"],
    component="disputeStatus",
    is_repeatable=True,
)
DISPUTED_PAYMENT_ID: Final = Parameter(
    name="paymentId",
    attribute="payment_id",
    parse=parse_uuid,
    schema=dict(UUID_SCHEMA),
    description="The payment that is disputed.",
    example="0199c0de-0000-7000-8000-000000000001",
    component="disputedPaymentId",
)
ACCOUNT_ID: Final = Parameter(
    name="accountId",
    attribute="account_id",
    parse=parse_uuid,
    schema=dict(UUID_SCHEMA),
    description="With an entry in this account.",
    example="0199c0de-0000-7000-8000-000000000002",
)
EXTERNAL_ID: Final = Parameter(
    name="externalId",
    attribute="external_id",
    parse=_parse_external_id,
    schema={"type": "string", "minLength": 1, "maxLength": MAX_EXTERNAL_ID},
    description="The merchant's own id.",
    example="order-4711-seller",
)
ACCOUNT_EXTERNAL_ID: Final = replace(
    EXTERNAL_ID, example="seller-12", component="accountExternalId"
)
ACCOUNT_TYPE: Final = Parameter(
    name="type",
    attribute="type",
    parse=lambda text: AccountType(parse_member(text, enumerations.ACCOUNT_TYPE)),
    schema=enumerations.ACCOUNT_TYPE.reference,
    description="Of this type.",
    example="liability",
    component="accountType",
)
BALANCE_MIN: Final = _build_balance_filter("balanceMin", "balance_min")
BALANCE_MAX: Final = _build_balance_filter("balanceMax", "balance_max")
PREFIX: Final = Parameter(
    name="prefix",
    attribute="prefix",
    parse=_parse_prefix,
    schema={"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"^[^\x00]*$"},
    description="The first segments of the name: `wallets` matches `wallets` and `wallets:alice`,"
    " but not `walletsold`. `wallets:` matches only what is below.",
    example="wallets",
)
METADATA_FILTER_SCHEMA: Final = {
    **METADATA_SCHEMA,
    "description": "Pairs that the metadata must contain.",
    "maxProperties": MAX_PAIRS,
}
METADATA: Final = MapParameter(
    name="metadata",
    attribute="metadata",
    parse=_parse_metadata_value,
    parse_key=_parse_metadata_key,
    max_pairs=MAX_PAIRS,
    schema={"$ref": "#/components/schemas/MetadataFilter"},
    description=f"`metadata[KEY]=value`: has exactly this pair. Up to {MAX_PAIRS} pairs; all must "
    "match. `metadata.KEY=value` means the same.",
    example={"order": "4711"},
)

EXPAND: Final = Parameter(
    name="expand",
    attribute="expand",
    parse=lambda text: parse_member(text, enumerations.PAYMENT_EXPANSION),
    schema={
        "type": "array",
        "items": enumerations.PAYMENT_EXPANSION.reference,
        "uniqueItems": True,
    },
    description="Related objects to include: `expand=refunds&expand=entries`, or"
    " `expand=refunds,entries`.",
    example=["refunds", "entries"],
    is_repeatable=True,
    separator=",",
)

PAGE_QUERY: Final = (LIMIT, CURSOR)
_CREATED: Final = (CREATED_FROM, CREATED_TO)
_AMOUNT: Final = (AMOUNT_MIN, AMOUNT_MAX)

PAYMENT_QUERY: Final = (*PAGE_QUERY, PAYMENT_STATUS, CURRENCY, *_CREATED, *_AMOUNT, METADATA)
PAYMENT_REFUND_QUERY: Final = (*PAGE_QUERY, REFUND_STATUS, CURRENCY, *_CREATED, *_AMOUNT, METADATA)
REFUND_QUERY: Final = (*PAYMENT_REFUND_QUERY, PAYMENT_ID)
ACCOUNT_QUERY: Final = (
    *(*PAGE_QUERY, CURRENCY, *_CREATED, ACCOUNT_TYPE, ACCOUNT_EXTERNAL_ID, PREFIX),
    *(BALANCE_MIN, BALANCE_MAX, METADATA),
)
SUBTREE_QUERY: Final = (PREFIX,)
LEDGER_TRANSACTION_QUERY: Final = (*PAGE_QUERY, ACCOUNT_ID, EXTERNAL_ID, *_CREATED)
DISPUTE_QUERY: Final = (*PAGE_QUERY, DISPUTE_STATUS, DISPUTED_PAYMENT_ID, *_CREATED)
ENTRY_QUERY: Final = (*PAGE_QUERY, *_CREATED)


def split_page_parameters(values: Mapping[str, Any]) -> tuple[int, str | None, dict[str, Any]]:
    """The limit, the cursor, and the filters by their names in the domain."""
    filters = {name: value for name, value in values.items() if name not in ("limit", "cursor")}
    return values.get("limit", DEFAULT_LIMIT), values.get("cursor"), filters
