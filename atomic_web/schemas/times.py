"""Times in requests: RFC 3339, or a date for the start of its day in UTC."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from marshmallow import ValidationError

from atomic_web.schemas.descriptions import describe_validator

# RFC 3339 in upper case, with at most microseconds, which is PostgreSQL's resolution.
DATE: Final = re.compile(r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
RFC3339: Final = re.compile(
    DATE.pattern + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
TIME_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "format": "date-time", "pattern": f"^{RFC3339.pattern}$"},
        {"type": "string", "format": "date", "pattern": f"^{DATE.pattern}$"},
    ]
}
INVALID_TIME: Final = (
    "Must be an RFC 3339 time, such as 2026-11-22T15:30:13.153Z, or a date, such as 2026-11-22."
)


def parse_time(text: str) -> datetime:
    """A date is its first instant in UTC. Raises ValueError or OverflowError."""
    if DATE.fullmatch(text):
        text += "T00:00:00Z"
    if not RFC3339.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text).astimezone(UTC)


@describe_validator(TIME_SCHEMA)
def check_time(text: str) -> None:
    try:
        parse_time(text)
    except (ValueError, OverflowError) as error:
        raise ValidationError(INVALID_TIME) from error
