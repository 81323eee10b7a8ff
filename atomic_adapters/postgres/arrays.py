"""Encodes columns as binary PostgreSQL arrays, for `unnest`.

psycopg inspects every element of a list to find its type. For a statement with many columns and few
rows that takes longer than the statement itself; for a batch of thousands, twice as long as this
encoding. Here the caller names the type. A column keeps its type even if all its values are NULL,
so each statement is prepared once.
"""

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from psycopg import postgres
from psycopg.adapt import Dumper
from psycopg.pq import Format

T = TypeVar("T")

# The format of array_recv in PostgreSQL's source: number of dimensions, NULL flag, element type;
# length and lower bound of the only dimension; then each element, prefixed by its length.
_HEADER: Final = struct.Struct("!iIIii")
_EMPTY: Final = struct.Struct("!iII")
_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct("!i")
_INTERVAL: Final = struct.Struct("!iqii")
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL's."""


class Column(bytes):
    """An encoded array. A subclass per type selects psycopg's dumper."""

    __slots__ = ()


def _create_encoder(
    name: str, encode: Callable[[T], bytes]
) -> Callable[[Iterable[T | None]], Column]:
    """The function that encodes a column of PostgreSQL's type `name`. `encode` returns one element
    with its length prefix."""
    info = postgres.types[name]
    kind = type(f"{name.title()}Column", (Column,), {"__slots__": ()})

    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = info.array_oid

        def dump(self, obj: Column) -> Column:
            return obj

    postgres.adapters.register_dumper(kind, ColumnDumper)

    def encode_column(values: Iterable[T | None]) -> Column:
        parts = [_NULL if value is None else encode(value) for value in values]
        if not parts:
            return kind(_EMPTY.pack(0, 0, info.oid))
        # The NULL flag may be set although there is none.
        return kind(_HEADER.pack(1, 1, info.oid, len(parts), 1) + b"".join(parts))

    return encode_column


def _encode_bytes(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _encode_timestamp(value: datetime) -> bytes:
    return _BIGINT.pack(8, (value - _EPOCH) // _MICROSECOND)


def _encode_interval(value: timedelta) -> bytes:
    return _INTERVAL.pack(16, value // _MICROSECOND, 0, 0)


_UUID_LENGTH: Final = _LENGTH.pack(16)
_SMALLINT: Final = struct.Struct("!ih")
_INTEGER: Final = struct.Struct("!ii")
_BIGINT: Final = struct.Struct("!iq")
_BOOLEAN: Final = struct.Struct("!i?")


def _encode_uuid(value: UUID) -> bytes:
    # Equals value.bytes, without the cost of its property call.
    return _UUID_LENGTH + value.int.to_bytes(16, "big")


def _encode_text(value: str) -> bytes:
    return _encode_bytes(value.encode())


def _encode_smallint(value: int) -> bytes:
    return _SMALLINT.pack(2, value)


def _encode_integer(value: int) -> bytes:
    return _INTEGER.pack(4, value)


def _encode_bigint(value: int) -> bytes:
    return _BIGINT.pack(8, value)


def _encode_boolean(value: bool) -> bytes:  # noqa: FBT001  a column's value
    return _BOOLEAN.pack(1, value)


uuid_array = _create_encoder("uuid", _encode_uuid)
text_array = _create_encoder("text", _encode_text)
bytea_array = _create_encoder("bytea", _encode_bytes)
smallint_array = _create_encoder("int2", _encode_smallint)
integer_array = _create_encoder("int4", _encode_integer)
bigint_array = _create_encoder("int8", _encode_bigint)
boolean_array = _create_encoder("bool", _encode_boolean)
interval_array = _create_encoder("interval", _encode_interval)
timestamp_array = _create_encoder("timestamptz", _encode_timestamp)
