"""The cost of the statements that a query runs, as EXPLAIN ANALYZE measures it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from atomic_adapters.postgres.database_session import DatabaseSession, Row
from atomic_adapters.postgres.silence import LimitedConnection
from support import number_parameters


@dataclass(frozen=True)
class RecordingSession(DatabaseSession):
    """Records its statements and parameters."""

    statements: list[tuple[bytes, dict[str, Any]]] = field(default_factory=list)

    def fetch_all(self, statement: bytes, **parameters: Any) -> list[tuple[Any, ...]]:
        self.statements.append((statement, parameters))
        return super().fetch_all(statement, **parameters)

    def fetch_optional(self, statement: bytes, **parameters: Any) -> tuple[Any, ...] | None:
        self.statements.append((statement, parameters))
        return super().fetch_optional(statement, **parameters)

    def fetch_all_as(self, kind: type[Row], statement: bytes, **parameters: Any) -> list[Row]:
        self.statements.append((statement, parameters))
        return super().fetch_all_as(kind, statement, **parameters)


@dataclass
class Cost:
    """The cost of the statements of one page."""

    scanned: set[str] = field(default_factory=set)
    removed: int = 0
    most_rows: int = 0
    """Read by one node of a plan, whether it returned or removed them."""
    pages: int = 0

    def add(self, explained: dict[str, Any]) -> None:
        self.pages += (
            explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
        )
        self._add_node(explained["Plan"])

    def _add_node(self, node: dict[str, Any]) -> None:
        # An empty table is planned as a scan, also where no row leads to it.
        if node["Node Type"] == "Seq Scan" and node["Actual Loops"]:
            self.scanned.add(node["Relation Name"])
        removed = node.get("Rows Removed by Filter", 0)
        removed += node.get("Rows Removed by Index Recheck", 0)
        self.removed += removed * node["Actual Loops"]
        rows = (node["Actual Rows"] + removed) * node["Actual Loops"]
        self.most_rows = max(self.most_rows, round(rows))
        for child in node.get("Plans", ()):
            self._add_node(child)


def explain_statements(
    connection: LimitedConnection, statements: Sequence[tuple[bytes, dict[str, Any]]], mode: str
) -> Cost:
    """Their cost together, with this `plan_cache_mode`."""
    cost = Cost()
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        connection.execute("DEALLOCATE ALL")
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}".encode())
        for place, (statement, parameters) in enumerate(statements):
            numbered, names = number_parameters(statement)
            connection.execute(b"PREPARE it_%d AS %s" % (place, numbered))
            holes = b", ".join([b"%s"] * len(names))
            explain = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE it_%d (%s)" % (place, holes)
            [[[explained]]] = cursor.execute(
                explain, [parameters[name] for name in names]
            ).fetchall()
            cost.add(explained)
    return cost
