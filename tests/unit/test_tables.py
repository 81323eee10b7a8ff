"""Tables for people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from atomic_worker.commands.tables import MAX_WIDTH, facts, moment, money, table


def test_columns_are_aligned_and_numbers_stand_on_the_right() -> None:
    shown = table(("Name", "Amount", "Note"), [("a", "1.00", None), ("bcdef", "-10.00", "x")],
                  right={"Amount"})  # fmt: skip
    assert shown.splitlines() == [
        "Name   Amount  Note",
        "a        1.00  -",
        "bcdef  -10.00  x",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(("Code", "Name"), [], right=()) == "Code  Name"


def test_wide_signs_and_marks_keep_columns_aligned() -> None:
    lines = table(("Name", "End"), [("名前", "|"), ("abcd", "|"), ("e\u0301xyz", "|")], right=())
    assert lines.splitlines()[1:] == ["名前  |", "abcd  |", "e\u0301xyz  |"]


@pytest.mark.parametrize(
    ("hostile", "shown"),
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
def test_no_text_can_command_a_terminal(hostile: str, shown: str) -> None:
    assert table(("A",), [(hostile,)], right=()).splitlines() == ["A", shown]
    assert facts([(hostile, hostile)]) == f"{shown}  {shown}"


def test_a_long_cell_is_cut_and_an_id_is_not() -> None:
    id = "01a20683-bb31-78ad-a275-940b0aac2733"
    for text in ("x" * 500, "名" * 500, "\n" * 500):
        [_, line] = table(("A",), [(text,)], right=()).splitlines()
        assert line.endswith("…")
        assert len(line) <= MAX_WIDTH
    assert table(("A",), [(id,)], right=()).splitlines()[1] == id
    assert facts([("Text", "x" * 500)]).endswith("x" * 500)


def test_facts_leave_out_what_is_not_there() -> None:
    assert facts([("ID", 5), ("Because", None), ("Status", "")]) == "ID      5\nStatus  "


def test_moments_are_shown_in_utc() -> None:
    there = datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert moment(there) == "2026-11-22 20:00:00Z"
    assert moment(datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC)) == "2026-01-02 03:04:05Z"
    assert moment(None) is None


def test_money_is_shown_in_units_with_its_decimals() -> None:
    assert money(1234, "USD") == "12.34 USD"
    assert money(-5, "KWD") == "-0.005 KWD"
    assert money(1234, "JPY") == "1234 JPY"
