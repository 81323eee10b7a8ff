"""Statements of journal transactions use indexes, however many there are."""

import json
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from atomic_adapters.postgres.statements import load_statements
from support import number_parameters

FILL: Final = b"""
    INSERT INTO journal_transactions (id, merchant_id, status, external_id, effective_at,
                                      created_at, reverses_id, expires_at, resolved_at)
    SELECT md5('t' || n)::uuid, md5('m' || n %% 20)::uuid,
           CASE WHEN n %% 7 = 1 THEN 'PENDING' ELSE 'POSTED' END, 'external ' || n, at, at,
           CASE WHEN n %% 10 = 0 AND n %% 7 > 1 THEN md5('t' || n - 1)::uuid END,
           CASE WHEN n %% 7 <= 1 THEN at + interval '7 days' END, CASE WHEN n %% 7 = 0 THEN at END
      FROM generate_series(1, %(rows)s) AS n,
           LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 s') AS times (at);
    INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
    SELECT id, id, 'journal', created_at FROM journal_transactions;
    INSERT INTO journal_entries
    SELECT md5('t' || n)::uuid, md5('a' || side || n %% 100)::uuid, side, 1 - 2 * side,
           timestamptz '2026-01-01' + n * interval '1 s'
      FROM generate_series(1, %(rows)s) AS n, generate_series(0, 1) AS side;
    INSERT INTO journal_holds (transaction_id, account_id, amount, placed_at, released_at)
    SELECT e.transaction_id, e.account_id, e.amount, e.created_at, j.resolved_at
      FROM journal_entries e
      JOIN journal_transactions j ON j.id = e.transaction_id
     WHERE j.expires_at IS NOT NULL;
    INSERT INTO entries
    SELECT account_id, row_number() OVER (PARTITION BY account_id), transaction_id, amount, 0,
           sha256('')
      FROM journal_entries;
    INSERT INTO accounts (id, merchant_id, name, currency, head)
    SELECT DISTINCT account_id, md5('m')::uuid, 'A', 'USD', sha256('') FROM journal_entries;
"""
ROWS: Final = 30_000
TABLES: Final = {
    *("journal_transactions", "journal_entries", "journal_holds"),
    *("ledger_transactions", "entries"),
}


def fill_tables(connection: psycopg.Connection) -> None:
    """With triggers disabled, also afterwards."""
    connection.execute("SET session_replication_role = replica")
    for statement in FILL.split(b";")[:-1]:
        parameters = {"rows": ROWS} if b"%(rows)s" in statement else None
        text = statement if parameters else statement.replace(b"%%", b"%")
        connection.execute(text, parameters)
    connection.execute("VACUUM ANALYZE")


@pytest.fixture(scope="module")
def filled(migrated: str, postgres: Any) -> Iterator[psycopg.Connection]:
    url = postgres.create_database("journal_plans", template=migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        fill_tables(connection)
        yield connection


def list_scanned_tables(plan: dict[str, Any]) -> set[str]:
    scanned = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set[str]()
    return scanned.union(*(list_scanned_tables(child) for child in plan.get("Plans", [])))


@pytest.mark.parametrize(
    "name", [name for name in load_statements("journal") if not name.startswith("insert")]
)
def test_no_statement_scans_a_whole_table(filled: psycopg.Connection, name: str) -> None:
    statement, _ = number_parameters(load_statements("journal")[name])
    # psycopg would take the numbered parameters for its own.
    [row] = filled.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + statement).fetchall()
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    assert not list_scanned_tables(plan[0]["Plan"]) & TABLES
