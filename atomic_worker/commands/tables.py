"""What people read: aligned columns, money in units, times in UTC. No colour, and the same for the
same rows, on a terminal or not."""

import unicodedata
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from atomic_core.domain.money import format_minor_units

MAX_WIDTH: Final = 60
"""Of a cell that somebody else wrote: ids and lists of scopes fit, and a table stays a table."""

GAP: Final = "  "


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str]) -> str:
    """Rows under their headings; those named in `right` are aligned there, as numbers are."""
    lines = [list(headings), *([_cell(value, MAX_WIDTH) for value in row] for row in rows)]
    widths = [max(_width(line[place]) for line in lines) for place in range(len(headings))]
    sides = [heading in right for heading in headings]
    return "\n".join(_line(line, widths, sides) for line in lines)


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """One thing, told by name: a line for each fact that there is."""
    told = [(_cell(name, None), _cell(value, None)) for name, value in pairs if value is not None]
    width = max(_width(name) for name, _ in told)
    return "\n".join(f"{name}{' ' * (width - _width(name))}{GAP}{value}" for name, value in told)


def moment(at: datetime | None) -> str | None:
    return at and f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def money(amount: int, currency: str) -> str:
    """Such as `12.34 USD`."""
    return f"{format_minor_units(amount, currency)} {currency}"


def _line(cells: Sequence[str], widths: Sequence[int], sides: Sequence[bool]) -> str:
    padded: list[str] = []
    for cell, width, is_right in zip(cells, widths, sides, strict=True):
        space = " " * (width - _width(cell))
        padded.append(space + cell if is_right else cell + space)
    return GAP.join(padded).rstrip()


def _cell(value: object, longest: int | None) -> str:
    """Text that cannot command a terminal, whoever wrote it."""
    text = "-" if value is None else str(value)
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    if longest is None or _width(shown) <= longest:
        return shown
    while _width(shown) >= longest:
        shown = shown[:-1]
    return shown + "…"


def _width(text: str) -> int:
    """Columns on a terminal: East Asian signs take two, and marks over others none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )
