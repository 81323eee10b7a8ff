"""Statements on the events of card networks are answered by indexes, however many there are."""

import json
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from atomic_adapters.postgres.statements import load_statements
from support import number_parameters

FILL: Final = """
    INSERT INTO network_events (network, id, type, payment_id, received_at, due_at)
    SELECT 'stripe', 'evt_' || n, 'payment_intent.succeeded', md5('p' || n)::uuid,
           now() - n * interval '1 minute', CASE WHEN n <= 100 THEN now() END
      FROM generate_series(1, 50000) AS n
"""


@pytest.fixture(scope="module")
def filled(migrated: str, postgres: Any) -> Iterator[psycopg.Connection]:
    url = postgres.create_database("network_event_plans", template=migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("VACUUM ANALYZE")
        yield connection


def list_scanned_tables(plan: dict[str, Any]) -> set[str]:
    scanned = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set[str]()
    return scanned.union(*(list_scanned_tables(child) for child in plan.get("Plans", [])))


@pytest.mark.parametrize(
    "name", [name for name in load_statements("network_events") if not name.startswith("insert")]
)
def test_no_statement_scans_the_table(filled: psycopg.Connection, name: str) -> None:
    statement, _ = number_parameters(load_statements("network_events")[name])
    # psycopg would take the numbered parameters for its own.
    [row] = filled.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + statement).fetchall()
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    assert not list_scanned_tables(plan[0]["Plan"])
