"""Columns arrive in PostgreSQL as they left."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.postgres.arrays import (
    Column,
    bigint_array,
    boolean_array,
    bytea_array,
    integer_array,
    interval_array,
    smallint_array,
    text_array,
    uuid_array,
)

CASES: list[tuple[Callable[..., Column], str, Sequence[object]]] = [
    (uuid_array, "uuid", [UUID(int=0), UUID(int=2**128 - 1), None]),
    (text_array, "text", ["", "né “x”\n", "{,\"'\\}", "NULL", None, "NULL", ""]),
    (bytea_array, "bytea", [b"", b"\0\xff", bytes(1_000), None]),
    (smallint_array, "smallint", [-(2**15), 0, 2**15 - 1, None]),
    (integer_array, "integer", [-(2**31), 0, 2**31 - 1, None]),
    (bigint_array, "bigint", [-(2**63), 0, 2**63 - 1, None]),
    (boolean_array, "boolean", [True, False, None]),
    (
        interval_array,
        "interval",
        [timedelta(0), timedelta(days=1), timedelta(microseconds=-1), None],
    ),
]


@pytest.mark.parametrize(("column", "type", "values"), CASES, ids=[case[1] for case in CASES])
@pytest.mark.parametrize("count", [0, 1, None])
def test_array_round_trips_through_postgres(
    shared_database_url: str,
    column: Callable[..., Column],
    type: str,
    values: Sequence[object],
    count: int | None,
) -> None:
    sent = values[:count]
    assert arrived(shared_database_url, column(iter(sent)), type) == list(sent)


@pytest.mark.parametrize(("column", "type", "values"), CASES, ids=[case[1] for case in CASES])
def test_array_of_nulls_keeps_its_type(
    shared_database_url: str, column: Callable[..., Column], type: str, values: object
) -> None:
    assert arrived(shared_database_url, column([None, None]), type) == [None, None]


def arrived(url: str, column: Column, type: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT %(it)b, pg_typeof(%(it)b)::text", {"it": column}, prepare=True
        ).fetchone()
    assert row
    assert row[1] == f"{type}[]"
    return row[0]
