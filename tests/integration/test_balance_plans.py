"""Statements of balances by time and of periods use indexes, however many entries there are."""

import json
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.postgres.statements import load_statements
from integration.test_journal_plans import TABLES, filled, list_scanned_tables
from support import number_parameters

__all__ = ["filled"]
"""A fixture that pytest finds here."""

STATEMENTS = {
    f"{stem}.{name}": statement
    for stem in ("balances", "periods")
    for name, statement in load_statements(stem).items()
    if not name.startswith(("insert", "open", "save", "lock_progress"))
}
COUNT_READ_ROWS = b"""
SELECT relname, seq_tup_read
  FROM pg_stat_user_tables
 WHERE relname IN ('entries', 'ledger_transactions', 'journal_transactions', 'balance_snapshots',
                   'effective_shifts')
"""


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_scans_a_whole_table(filled: psycopg.Connection, name: str) -> None:
    statement, _ = number_parameters(STATEMENTS[name])
    # psycopg would take the numbered parameters for its own.
    [row] = filled.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + statement).fetchall()
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    assert not list_scanned_tables(plan[0]["Plan"]) & TABLES


def count_read_rows(connection: psycopg.Connection) -> dict[str, int]:
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return dict(connection.execute(COUNT_READ_ROWS).fetchall())


def test_search_for_entries_scans_no_table(filled: psycopg.Connection) -> None:
    """What EXPLAIN does not show: the statements of functions and triggers."""
    accounts = [row[0] for row in filled.execute("SELECT id FROM accounts LIMIT 20").fetchall()]
    before = count_read_rows(filled)
    parameters = {
        "merchant_id": UUID(int=1),
        "before": "2026-01-01 03:00Z",
        "account_ids": accounts,
        "moments": ["2026-01-01 02:00Z"] * 20,
        "account_id": accounts[0],
        "after_sequence": 0,
        "last_sequence": 200,
        "limit": 100,
        "after_id": UUID(int=0),
    }
    statements = load_statements("balances")
    for is_effective in (False, True):
        for name in ("list_balances_before", "sum_by_type", "sum_all_by_type"):
            filled.execute(statements[name], {**parameters, "is_effective": is_effective})
    for name in ("sum_by_kind", "list_explained_entries"):
        assert filled.execute(statements[name], parameters).fetchall()
    taking = {**parameters, "before": "2026-01-03"}
    filled.execute("SET session_replication_role = origin")
    assert filled.execute(statements["take_snapshots"], taking).fetchone()[0] == 100  # pyright: ignore[reportOptionalSubscript]
    filled.execute("SET session_replication_role = replica")
    assert count_read_rows(filled) == before
