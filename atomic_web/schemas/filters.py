"""The query parameters of lists: what they ask for, how they are written, what they mean."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from atomic_core.domain.lists import DEFAULT_LIMIT, MAX_LIMIT
from atomic_core.domain.money import EXPONENTS, MAX_AMOUNT
from atomic_core.domain.payments import Status
from atomic_web.http.cursors import MAX_LENGTH
from atomic_web.http.ids import canonical_uuid
from atomic_web.http.query import Fault, Pairs, Parameter
from atomic_web.schemas.descriptions import UUID

MAX_PAIRS: Final = 5
"""Each further pair is looked for on every payment that has the first."""

MAX_KEY: Final = 40
MAX_VALUE: Final = 500

_WHOLE: Final = re.compile(r"[1-9][0-9]{0,15}")
_CURSOR: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_LENGTH}}}")

# RFC 3339 in capitals, to the microsecond at most: what PostgreSQL keeps.
_MOMENT: Final = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_MOMENT_FAULT: Final = (
    "Must be a time as RFC 3339 has it, such as 2026-11-22T15:30:13.153Z. Write the + of an offset"
    " as %2B."
)


def _read_limit(text: str) -> int:
    if not _WHOLE.fullmatch(text) or int(text) > MAX_LIMIT:
        raise Fault(f"Must be a whole number from 1 to {MAX_LIMIT}.")
    return int(text)


def _read_cursor(text: str) -> str:
    if not _CURSOR.fullmatch(text):
        raise Fault("Must be the nextCursor of another page.")
    return text


def _read_amount(text: str) -> int:
    if not _WHOLE.fullmatch(text) or int(text) > MAX_AMOUNT:
        raise Fault(f"Must be a whole number from 1 to {MAX_AMOUNT}.")
    return int(text)


def _read_currency(text: str) -> str:
    # Any there is: what was made before need not be of those configured today.
    if text not in EXPONENTS:
        raise Fault("Must be an ISO 4217 currency code.")
    return text


def _read_moment(text: str) -> datetime:
    if not _MOMENT.fullmatch(text):
        raise Fault(_MOMENT_FAULT)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Fault(_MOMENT_FAULT) from error


def _read_status(text: str, known: frozenset[Status]) -> Status:
    if text not in known:
        raise Fault(f"Must be one of {', '.join(sorted(known))}.")
    return Status(text)


def _read_id(text: str) -> Any:
    id = canonical_uuid(text)
    if id is None:
        raise Fault("Must be a UUID in lower case with hyphens.")
    return id


def _read_key(text: str) -> str:
    if not 1 <= len(text) <= MAX_KEY:
        raise Fault(f"A metadata key has 1 to {MAX_KEY} characters.")
    return text


def _read_value(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise Fault(f"A metadata value has {MAX_VALUE} characters at most.")
    return text


def _amount(name: str, attribute: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        read=_read_amount,
        schema={"type": "integer", "minimum": 1, "maximum": MAX_AMOUNT},
        description=description,
        example=5_000,
    )


def _moment(name: str, attribute: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        read=_read_moment,
        schema={"type": "string", "format": "date-time", "pattern": f"^{_MOMENT.pattern}$"},
        description=f"{description} RFC 3339 with an offset; a `+` is written `%2B`.",
        example="2026-11-22T15:30:13.153Z",
    )


def _status(component: str, known: frozenset[Status]) -> Parameter:
    return Parameter(
        name="status",
        attribute="statuses",
        read=lambda text: _read_status(text, known),
        schema={"type": "array", "items": {"enum": sorted(known)}},
        description="Given more than once: one of them.",
        example=["SUCCESS"],
        component=component,
        repeatable=True,
    )


LIMIT: Final = Parameter(
    name="limit",
    attribute="limit",
    read=_read_limit,
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    description="Items on a page.",
    example=DEFAULT_LIMIT,
)
CURSOR: Final = Parameter(
    name="cursor",
    attribute="cursor",
    read=_read_cursor,
    schema={"type": "string", "pattern": f"^{_CURSOR.pattern}$"},
    description="The `nextCursor` of the page before, as it came. It goes with the list and the "
    "filters it was given for; `limit` may change.",
    example="AZiVz1Jb1mGSAAZGX8xN0QGSZGWZcACAAAAAAAAAAAE",
)
CURRENCY: Final = Parameter(
    name="currency",
    attribute="currency",
    read=_read_currency,
    schema={"enum": sorted(EXPONENTS)},
    description="ISO 4217.",
    example="USD",
)
CREATED_FROM: Final = _moment("createdFrom", "created_from", "Made at this moment or later.")
CREATED_TO: Final = _moment("createdTo", "created_to", "Made before this moment.")
AMOUNT_MIN: Final = _amount("amountMin", "amount_min", "In minor units.")
AMOUNT_MAX: Final = _amount("amountMax", "amount_max", "In minor units; included.")
PAYMENT_STATUS: Final = _status("paymentStatus", frozenset(Status))
REFUND_STATUS: Final = _status(
    "refundStatus",
    frozenset({Status.PENDING, Status.PROCESSING, Status.SUCCESS, Status.FAILED}),
)
PAYMENT_ID: Final = Parameter(
    name="paymentId",
    attribute="payment_id",
    read=_read_id,
    schema=dict(UUID),
    description="Of this payment.",
    example="0199c0de-0000-7000-8000-000000000001",
)
METADATA: Final = Pairs(
    name="metadata",
    attribute="metadata",
    read=_read_value,
    read_key=_read_key,
    most=MAX_PAIRS,
    schema={
        "type": "object",
        "patternProperties": {
            rf"^metadata\.[^\x00]{{1,{MAX_KEY}}}$": {
                "type": "string",
                "maxLength": MAX_VALUE,
                "pattern": r"^[^\x00]*$",
            }
        },
        "additionalProperties": False,
        "maxProperties": MAX_PAIRS,
    },
    description="`metadata.KEY=value`: has this pair, exactly. The key is all that stands behind "
    "the first dot, so `metadata.a.b=c` asks for the key `a.b`. Of several pairs, all.",
    example={"metadata.order": "4711"},
)

EXPANDABLE: Final = ("refunds", "entries")


def _read_expand(text: str) -> frozenset[str]:
    names = text.split(",")
    if len(set(names)) != len(names) or not set(names) <= set(EXPANDABLE):
        raise Fault(f"Must be of {', '.join(EXPANDABLE)}, each once, with a comma between.")
    return frozenset(names)


EXPAND: Final = Parameter(
    name="expand",
    attribute="expand",
    read=_read_expand,
    schema={"enum": ["refunds", "entries", "refunds,entries", "entries,refunds"]},
    description="What to show with it.",
    example="refunds,entries",
)

PAGE: Final = (LIMIT, CURSOR)
CREATED: Final = (CREATED_FROM, CREATED_TO)
AMOUNTS: Final = (AMOUNT_MIN, AMOUNT_MAX)


def parted(asked: Mapping[str, Any]) -> tuple[int, str | None, dict[str, Any]]:
    """Limit, cursor, and the filters, by the names that the core has for them."""
    filters = {name: value for name, value in asked.items() if name not in ("limit", "cursor")}
    return asked.get("limit", DEFAULT_LIMIT), asked.get("cursor"), filters
