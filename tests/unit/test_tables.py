"""Text output of the CLI."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from atomic_worker.commands.tables import (
    MAX_CELL_WIDTH,
    format_money,
    format_time,
    render_fields,
    render_table,
)


def test_columns_are_aligned_and_numbers_right_aligned() -> None:
    rows = [("a", "1.00", None), ("bcdef", "-10.00", "x")]
    table = render_table(("Name", "Amount", "Note"), rows, right={"Amount"})
    assert table.splitlines() == [
        "Name   Amount  Note",
        "a        1.00  -",
        "bcdef  -10.00  x",
    ]


def test_table_without_rows_has_headings_only() -> None:
    assert render_table(("Code", "Name"), [], right=()) == "Code  Name"


def test_wide_and_combining_characters_keep_columns_aligned() -> None:
    rows = [("名前", "|"), ("abcd", "|"), ("e\u0301xyz", "|")]
    table = render_table(("Name", "End"), rows, right=())
    assert table.splitlines()[1:] == ["名前  |", "abcd  |", "e\u0301xyz  |"]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("a\x00b\x07", "a\\x00b\\x07"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b2J", "\\x9b2J"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    assert render_table(("A",), [(text,)], right=()).splitlines() == ["A", escaped]
    assert render_fields([(text, text)]) == f"{escaped}  {escaped}"


def test_long_cell_is_cut_and_id_is_not() -> None:
    id = "01a20683-bb31-78ad-a275-940b0aac2733"
    for text in ("x" * 500, "名" * 500, "\n" * 500):
        [_, line] = render_table(("A",), [(text,)], right=()).splitlines()
        assert line.endswith("…")
        assert len(line) <= MAX_CELL_WIDTH
    assert render_table(("A",), [(id,)], right=()).splitlines()[1] == id
    assert render_fields([("Text", "x" * 500)]).endswith("x" * 500)


def test_fields_without_value_are_left_out() -> None:
    assert render_fields([("ID", 5), ("Because", None), ("Status", "")]) == "ID      5\nStatus  "


def test_times_are_rendered_in_utc() -> None:
    time = datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert format_time(time) == "2026-11-22 20:00:00Z"
    assert format_time(datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)) == "2026-01-02 03:04:05Z"
    assert format_time(None) is None


def test_amounts_are_rendered_in_major_units() -> None:
    assert format_money(1234, "USD") == "12.34 USD"
    assert format_money(-5, "KWD") == "-0.005 KWD"
    assert format_money(1234, "JPY") == "1234 JPY"
