"""Lists page by page: `limit`, and `cursor`, which says after which row to go on.

A cursor is a place in the list's order, so it stays right while rows are added; it holds nothing
that the page before did not show.
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from flask import request

from atomic_core.domain.errors import ValidationFailed

MAX_LIMIT: Final = 100
"""Rows of a page: an answer of some fifty kilobytes."""
DEFAULT_LIMIT: Final = 20

CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{32}")
"""24 bytes in base64url, which come out even: each place has one spelling."""

_LIMIT: Final = re.compile(r"[1-9][0-9]{0,2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Row(NamedTuple):
    """A place in an order by time and id."""

    at: datetime
    id: UUID


class Page(NamedTuple):
    limit: int
    after: Row | None


def read_page() -> Page:
    """What of a list is asked for. Raises ValidationFailed, for other query parameters too."""
    faults: dict[str, list[str]] = {}
    asked = request.args
    for name in asked:
        if name not in ("limit", "cursor"):
            faults["query"] = ["This endpoint takes limit and cursor, and nothing else."]
        elif len(asked.getlist(name)) > 1:
            faults[name] = ["Must be given once."]
    limit = asked.get("limit", str(DEFAULT_LIMIT))
    if not _LIMIT.fullmatch(limit) or int(limit) > MAX_LIMIT:
        faults.setdefault("limit", [f"Must be a whole number from 1 to {MAX_LIMIT}."])
    cursor = asked.get("cursor")
    after = None if cursor is None else row_of(cursor)
    if cursor is not None and after is None:
        faults.setdefault("cursor", ["Must be the nextCursor of an earlier answer."])
    if faults:
        raise ValidationFailed(details=faults)
    return Page(int(limit), after)


def cursor_of(at: datetime, id: UUID) -> str:
    """The cursor of the page after this row."""
    place = ((at - _EPOCH) // _MICROSECOND).to_bytes(8, "big") + id.bytes
    return base64.urlsafe_b64encode(place).decode()


def row_of(cursor: str) -> Row | None:
    """None for what cannot be a cursor."""
    if not CURSOR.fullmatch(cursor):
        return None
    place = base64.urlsafe_b64decode(cursor)
    try:
        at = _EPOCH + int.from_bytes(place[:8], "big") * _MICROSECOND
    except OverflowError:
        return None
    return Row(at, UUID(bytes=place[8:]))
