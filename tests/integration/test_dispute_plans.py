"""Statements on disputes are answered by indexes, however many there are."""

import json
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from atomic_adapters.postgres.statements import load_statements
from support import number_parameters

FILL: Final = """
    INSERT INTO disputes (id, merchant_id, payment_id, account_id, network, network_reference,
                          status, amount, currency, fee, reason, created_at, updated_at, closed_at,
                          due_at)
    SELECT md5('d' || n)::uuid, md5('m' || n % 20)::uuid, md5('p' || n)::uuid, md5('a')::uuid,
           'stripe', 'dp_' || n, CASE WHEN n <= 100 THEN 'NEEDS_RESPONSE' ELSE 'LOST' END, 1, 'USD',
           0, 'fraudulent', at, at, CASE WHEN n > 100 THEN at END, CASE WHEN n <= 100 THEN at END
      FROM generate_series(1, 30000) AS n,
           LATERAL (SELECT now() - n * interval '1 minute') AS times (at)
"""


@pytest.fixture(scope="module")
def filled(migrated: str, postgres: Any) -> Iterator[psycopg.Connection]:
    url = postgres.create_database("dispute_plans", template=migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(FILL)
        connection.execute("VACUUM ANALYZE")
        yield connection


def list_scanned_tables(plan: dict[str, Any]) -> set[str]:
    scanned = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set[str]()
    return scanned.union(*(list_scanned_tables(child) for child in plan.get("Plans", [])))


STATEMENTS: Final = {
    **load_statements("disputes"),
    **{
        name: statement
        for name, statement in load_statements("reconciliation").items()
        if name in ("list_postings", "list_posted", "list_booked_payments")
    },
}


@pytest.mark.parametrize("name", [name for name in STATEMENTS if not name.startswith("insert")])
def test_no_statement_scans_all_disputes(filled: psycopg.Connection, name: str) -> None:
    statement, _ = number_parameters(STATEMENTS[name])
    # psycopg would take the numbered parameters for its own.
    [row] = filled.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + statement).fetchall()
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    assert "disputes" not in list_scanned_tables(plan[0]["Plan"])
