"""A transaction as the repositories see it: statements in, rows out, errors translated."""

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
        """Run a statement; return how many rows it touched."""
        with map_errors():
            return self.connection.execute(statement, parameters).rowcount

    def commit(self) -> None:
        with map_errors():
            done = self.connection.execute(b"COMMIT").statusmessage
        # After an error that somebody swallowed, PostgreSQL answers COMMIT with ROLLBACK.
        if done != "COMMIT":
            raise StorageRefused(f"COMMIT was answered with {done}")

    def fetch_all(self, statement: bytes, **parameters: object) -> list[tuple[Any, ...]]:
        """All rows of a statement. Binary, so that PostgreSQL need not print numbers."""
        with map_errors():
            return self.connection.execute(statement, parameters, binary=True).fetchall()

    def fetch_one(self, statement: bytes, **parameters: object) -> tuple[Any, ...]:
        """The row of a statement that always has one."""
        row = self.fetch_optional(statement, **parameters)
        if row is None:
            raise StorageRefused("a statement gave no row")
        return row

    def fetch_optional(self, statement: bytes, **parameters: object) -> tuple[Any, ...] | None:
        """The first row of a statement, or None."""
        with map_errors():
            return self.connection.execute(statement, parameters, binary=True).fetchone()

    def fetch_all_as(self, kind: type[Row], statement: bytes, **parameters: object) -> list[Row]:
        """All rows of a statement whose columns are named like the fields of `kind`."""
        with map_errors(), self.connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(statement, parameters, binary=True).fetchall()

    def fetch_optional_as(
        self, kind: type[Row], statement: bytes, **parameters: object
    ) -> Row | None:
        """The first row of such a statement, or None."""
        rows = self.fetch_all_as(kind, statement, **parameters)
        return rows[0] if rows else None

    def fetch_one_as(self, kind: type[Row], statement: bytes, **parameters: object) -> Row:
        """The row of such a statement that always has one."""
        row = self.fetch_optional_as(kind, statement, **parameters)
        if row is None:
            raise StorageRefused("a statement gave no row")
        return row
