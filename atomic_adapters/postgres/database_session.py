"""Statements in, rows out, errors mapped: what the repositories use of a connection."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from psycopg import Cursor, Pipeline
from psycopg.rows import TupleRow, class_row

from atomic_adapters.postgres.connections import RESPONSE_SLACK_SECONDS, map_errors
from atomic_adapters.postgres.silence import LimitedConnection
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.errors import StorageRefused

Row = TypeVar("Row")

_SNAPSHOT: Final = load_statements("ledger_verification")["use_one_snapshot"]


class RowCheck(NamedTuple):
    purpose: str
    """For the message of StorageRefused."""
    expected: int
    """Rows that a statement must affect."""


@dataclass(frozen=True, slots=True)
class DatabaseSession:
    connection: LimitedConnection
    _checked: list[tuple[Cursor[TupleRow], RowCheck]] = field(default_factory=list)
    """What was sent, and must still be checked."""
    _pipeline: ExitStack = field(default_factory=ExitStack)
    _pipelines: list[Pipeline] = field(default_factory=list)
    """The one that was begun."""

    @contextmanager
    def open(self) -> Iterator["DatabaseSession"]:
        """Ends the pipeline with the block."""
        with map_errors(), self._pipeline:
            yield self

    def use_one_snapshot(self) -> None:
        """All statements after this one see the same snapshot, and none may write. Must be the
        first call in its transaction."""
        with map_errors():
            self.connection.execute(self.connection.restart_as_snapshot or _SNAPSHOT, prepare=False)

    @contextmanager
    def allow_long_statements(self, seconds: float) -> Iterator[None]:
        """For statements whose time-out has been raised to so many seconds."""
        with self.connection.limit_response(seconds + RESPONSE_SLACK_SECONDS):
            yield

    def begin_pipeline(self) -> None:
        """From now until the commit, `send` does not wait for PostgreSQL: this process encodes a
        statement while PostgreSQL runs the one before. Worth it for statements of many rows."""
        with map_errors():
            self._pipelines.append(self._pipeline.enter_context(self.connection.pipeline()))

    def send(self, statement: bytes, **parameters: object) -> None:
        """Run a statement whose result nothing depends on. Its errors are raised here, by a later
        statement, or by the commit, which then commits nothing."""
        with map_errors():
            self.connection.execute(statement, parameters)

    def send_checked(self, check: RowCheck, statement: bytes, **parameters: object) -> None:
        """The same for a statement that must affect a certain number of rows: otherwise
        StorageRefused is raised like its errors."""
        with map_errors():
            cursor = self.connection.execute(statement, parameters)
        self._checked.append((cursor, check))
        if not self.connection.pgconn.pipeline_status:
            self._check_rows()

    def _check_rows(self) -> None:
        for cursor, (purpose, expected) in self._checked:
            if cursor.rowcount != expected:
                raise StorageRefused(f"{purpose}: {cursor.rowcount} of {expected}")
        self._checked.clear()

    def execute(self, statement: bytes, **parameters: object) -> int:
        """Run a statement; return the number of affected rows."""
        with map_errors():
            cursor = self.connection.execute(statement, parameters)
            if self.connection.pgconn.pipeline_status:
                # Until its result is read, the number is not known.
                self._pipelines[-1].sync()
            return cursor.rowcount

    def commit(self) -> None:
        with map_errors():
            self._pipeline.close()
        self._check_rows()
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
