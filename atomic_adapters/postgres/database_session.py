"""Statements in, rows out, errors mapped: what the repositories use of a connection."""

from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from atomic_adapters.postgres.connections import map_errors
from atomic_core.domain.errors import StorageRefused

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class DatabaseSession:
    connection: Connection[TupleRow]

    def execute(self, statement: bytes, **parameters: object) -> int:
        """Run a statement; return the number of affected rows."""
        with map_errors():
            return self.connection.execute(statement, parameters).rowcount

    def commit(self) -> None:
        with map_errors():
            result = self.connection.execute(b"COMMIT").statusmessage
        # If an earlier error was suppressed, PostgreSQL answers COMMIT with ROLLBACK.
        if result != "COMMIT":
            raise StorageRefused(f"COMMIT was answered with {result}")

    def fetch_all(self, statement: bytes, **parameters: object) -> list[tuple[Any, ...]]:
        """All rows of a statement. Binary: PostgreSQL and psycopg convert no numbers to text."""
        with map_errors():
            return self.connection.execute(statement, parameters, binary=True).fetchall()

    def fetch_one(self, statement: bytes, **parameters: object) -> tuple[Any, ...]:
        """The first row. Raises StorageRefused if there is none."""
        row = self.fetch_optional(statement, **parameters)
        if row is None:
            raise StorageRefused("the statement returned no row")
        return row

    def fetch_optional(self, statement: bytes, **parameters: object) -> tuple[Any, ...] | None:
        """The first row, or None."""
        with map_errors():
            return self.connection.execute(statement, parameters, binary=True).fetchone()

    def fetch_all_as(self, kind: type[Row], statement: bytes, **parameters: object) -> list[Row]:
        """All rows as `kind`, whose fields are named like the columns."""
        with map_errors(), self.connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(statement, parameters, binary=True).fetchall()

    def fetch_optional_as(
        self, kind: type[Row], statement: bytes, **parameters: object
    ) -> Row | None:
        """The first row as `kind`, or None."""
        rows = self.fetch_all_as(kind, statement, **parameters)
        return rows[0] if rows else None

    def fetch_one_as(self, kind: type[Row], statement: bytes, **parameters: object) -> Row:
        """The first row as `kind`. Raises StorageRefused if there is none."""
        row = self.fetch_optional_as(kind, statement, **parameters)
        if row is None:
            raise StorageRefused("the statement returned no row")
        return row
