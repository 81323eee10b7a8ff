"""Columns on their way to PostgreSQL as binary arrays, for `unnest`.

psycopg looks at each element of a list to find out what the list is: for a statement of many
columns and few rows that costs more than the statement, and for a batch of thousands twice as much
as this. Here the statement's author says it. A column keeps its type when all of it is NULL, so
that each statement is prepared once.
"""

import struct
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from psycopg import postgres
from psycopg.adapt import Dumper
from psycopg.pq import Format

T = TypeVar("T")

# array_recv in PostgreSQL's source: dimensions, whether there are NULLs, the elements' type; then
# length and lower bound of the one dimension; then each element behind its length.
_HEADER: Final = struct.Struct("!iIIii")
_EMPTY: Final = struct.Struct("!iII")
_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct("!i")
_INTERVAL: Final = struct.Struct("!iqii")
_MICROSECOND: Final = timedelta(microseconds=1)


class Column(bytes):
    """A dumped array. Its subclasses tell psycopg of which type."""

    __slots__ = ()


def _column(name: str, element: Callable[[T], bytes]) -> Callable[[Iterable[T | None]], Column]:
    """The function that dumps a column of PostgreSQL's type `name`; `element` gives an element
    behind its length."""
    info = postgres.types[name]
    kind = type(f"{name.title()}Column", (Column,), {"__slots__": ()})

    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = info.array_oid

        def dump(self, obj: Column) -> Column:
            return obj

    postgres.adapters.register_dumper(kind, ColumnDumper)

    def column(values: Iterable[T | None]) -> Column:
        parts = [_NULL if value is None else element(value) for value in values]
        if not parts:
            return kind(_EMPTY.pack(0, 0, info.oid))
        # That there might be NULLs is always true enough.
        return kind(_HEADER.pack(1, 1, info.oid, len(parts), 1) + b"".join(parts))

    return column


def _sized(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _interval(value: timedelta) -> bytes:
    return _INTERVAL.pack(16, value // _MICROSECOND, 0, 0)


_UUID_LENGTH: Final = _LENGTH.pack(16)
_SMALLINT: Final = struct.Struct("!ih")
_INTEGER: Final = struct.Struct("!ii")
_BIGINT: Final = struct.Struct("!iq")


def _uuid(value: UUID) -> bytes:
    # What value.bytes is, without the call of a property.
    return _UUID_LENGTH + value.int.to_bytes(16, "big")


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _smallint(value: int) -> bytes:
    return _SMALLINT.pack(2, value)


def _integer(value: int) -> bytes:
    return _INTEGER.pack(4, value)


def _bigint(value: int) -> bytes:
    return _BIGINT.pack(8, value)


uuid_array = _column("uuid", _uuid)
text_array = _column("text", _text)
bytea_array = _column("bytea", _sized)
smallint_array = _column("int2", _smallint)
integer_array = _column("int4", _integer)
bigint_array = _column("int8", _bigint)
interval_array = _column("interval", _interval)
