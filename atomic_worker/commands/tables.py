"""Text output: aligned columns, amounts in major units, times in UTC. No colour, so that the output
is the same on a terminal and in a pipe."""

import unicodedata
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from atomic_core.domain.money import format_minor_units

MAX_CELL_WIDTH: Final = 64
"""In terminal columns. Ids, hashes and lists of scopes fit; longer text is cut."""

COLUMN_GAP: Final = "  "


def render_table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str]
) -> str:
    """Rows under their headings. The columns named in `right` are right-aligned."""
    lines = [
        list(headings),
        *([_format_cell(value, MAX_CELL_WIDTH) for value in row] for row in rows),
    ]
    widths = [
        max(_get_display_width(line[column]) for line in lines) for column in range(len(headings))
    ]
    right_aligned = [heading in right for heading in headings]
    return "\n".join(_align_line(line, widths, right_aligned) for line in lines)


def render_line(cells: Sequence[object], widths: Sequence[int]) -> str:
    """One row of a table whose other rows are not known yet. A longer cell moves the next ones."""
    texts = [_format_cell(cell, MAX_CELL_WIDTH) for cell in cells]
    return _align_line(texts, widths, [False] * len(texts))


def render_fields(pairs: Sequence[tuple[str, object]]) -> str:
    """One `name  value` line per pair; pairs whose value is None are left out."""
    fields = [
        (_format_cell(name, None), _format_cell(value, None))
        for name, value in pairs
        if value is not None
    ]
    width = max(_get_display_width(name) for name, _ in fields)
    return "\n".join(
        f"{name}{' ' * (width - _get_display_width(name))}{COLUMN_GAP}{value}"
        for name, value in fields
    )


def format_time(time: datetime | None) -> str | None:
    return time and f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def format_money(amount: int, currency: str) -> str:
    """Such as `12.34 USD`."""
    return f"{format_minor_units(amount, currency)} {currency}"


def _align_line(cells: Sequence[str], widths: Sequence[int], right_aligned: Sequence[bool]) -> str:
    padded: list[str] = []
    for cell, width, is_right in zip(cells, widths, right_aligned, strict=True):
        space = " " * (width - _get_display_width(cell))
        padded.append(space + cell if is_right else cell + space)
    return COLUMN_GAP.join(padded).rstrip()


def _format_cell(value: object, max_width: int | None) -> str:
    """The value as text, with control characters escaped: payers' and merchants' text must not
    control the operator's terminal."""
    text = "-" if value is None else str(value)
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    if max_width is None or _get_display_width(escaped) <= max_width:
        return escaped
    while _get_display_width(escaped) >= max_width:
        escaped = escaped[:-1]
    return escaped + "…"


def _get_display_width(text: str) -> int:
    """In terminal columns: wide East Asian characters take two, combining characters none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
