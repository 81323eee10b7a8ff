"""Every SQL statement names its columns, is used, and can be prepared by PostgreSQL."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH, MAX_CACHED_STATEMENT_PARAMS

from atomic_adapters.postgres.statements import SQL_FOLDER, load_statements
from support import number_parameters

STATEMENTS = {
    f"{path.stem}.{name}": statement
    for path in sorted(SQL_FOLDER.glob("*.sql"))
    for name, statement in load_statements(path.stem).items()
}
FILL_WITH_EXPIRED_ROWS = """
SET LOCAL session_replication_role = replica;
INSERT INTO idempotency_keys
       (merchant_id, key, method, path, fingerprint, response_status, response_body, expires_at)
SELECT uuidv7(), 'key', 'POST', '/', sha256(''), 202, '', now() - interval '1 s'
  FROM generate_series(1, 5);
INSERT INTO sessions (id, merchant_id, hash, expires_at)
SELECT uuidv7(), uuidv7(), sha256(i::text::bytea), now() - interval '1 s'
  FROM generate_series(1, 5) i;
UPDATE pg_class
   SET relpages = 1, reltuples = 1
 WHERE relname IN ('idempotency_keys', 'sessions');
"""

UTILITY = {"ledger_verification.use_one_snapshot"}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - UTILITY))
def test_postgres_can_prepare_the_statement(shared_database_url: str, name: str) -> None:
    with psycopg.connect(shared_database_url) as connection:
        connection.execute(b"PREPARE statement AS " + number_parameters(STATEMENTS[name])[0])


@pytest.mark.parametrize("name", STATEMENTS)
def test_psycopg_caches_the_statement(name: str) -> None:
    """It parses a longer one, or one with more parameters, at each call."""
    assert len(STATEMENTS[name]) <= MAX_CACHED_STATEMENT_LENGTH
    assert len(number_parameters(STATEMENTS[name])[1]) <= MAX_CACHED_STATEMENT_PARAMS


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement_selects_no_star(name: str) -> None:
    assert not re.search(rb"SELECT\s+(\w+\.)?\*", STATEMENTS[name], re.IGNORECASE)
    assert not re.search(rb"RETURNING\s+(\w+\.)?\*", STATEMENTS[name], re.IGNORECASE)


@pytest.mark.parametrize("name", STATEMENTS)
def test_rows_to_change_are_locked_once(name: str) -> None:
    """PostgreSQL may run a subquery once per row of the outer query. One that locks a limited
    number of rows would then lock more, and in another order."""
    locking = re.compile(rb"\n *FOR (NO KEY )?(UPDATE|SHARE)\b")
    changing = re.compile(rb"(?<!FOR )(?<!KEY )\b(UPDATE|DELETE FROM) \w+\n")
    statement = STATEMENTS[name]
    if changing.search(statement):
        rest = re.sub(rb"AS MATERIALIZED \(\n.*?\n\)", b"", statement, flags=re.DOTALL)
        assert not locking.search(rest), rest.decode()


@pytest.mark.parametrize("name", ["idempotency.purge_keys", "sessions.purge_sessions"])
def test_limit_holds_whatever_the_plan(database_url: str, name: str) -> None:
    """The plan for a table that was analyzed with one row: a nested loop over all rows."""
    with psycopg.connect(database_url) as connection:
        connection.execute(FILL_WITH_EXPIRED_ROWS)
        connection.execute("SET enable_hashjoin = off; SET enable_mergejoin = off")
        assert connection.execute(STATEMENTS[name], {"limit": 2}).rowcount == 2
        connection.rollback()


def test_every_statement_is_used(request: pytest.FixtureRequest) -> None:
    source = "".join(path.read_text() for path in SQL_FOLDER.glob("*.py"))
    used_by_the_audit = {
        "ledger_verification." + name for name in load_statements("ledger_verification")
    }
    for name in STATEMENTS.keys() - used_by_the_audit:
        assert f'_SQL["{name.split(".")[1]}"]' in source, f"{name} is unused"


def test_duplicate_statement_name_raises_value_error(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("sql")
    (folder / "twice.sql").write_text("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")
    monkeypatch.setattr("atomic_adapters.postgres.statements.SQL_FOLDER", folder)
    with pytest.raises(ValueError, match="twice"):
        load_statements("twice")


def test_include_is_replaced_by_its_fragment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "including.sql").write_text(
        "-- name: a\nSELECT\n  -- include: refund_columns\n  FROM refunds\n"
        "-- name: b\nWITH\n-- include: due_items(refunds)\nSELECT id FROM due\n"
    )
    monkeypatch.setattr("atomic_adapters.postgres.statements.SQL_FOLDER", tmp_path)
    loaded = load_statements("including")
    assert loaded["a"].startswith(b"SELECT\nid, payment_id, merchant_id,")
    assert b"\nFROM refunds\n" in loaded["b"]
    assert b"{table}" not in loaded["b"]


def test_every_fragment_is_included() -> None:
    source = "".join(path.read_text() for path in SQL_FOLDER.glob("*.sql"))
    for path in (SQL_FOLDER / "fragments").glob("*.sql"):
        assert f"-- include: {path.stem}" in source, f"no statement includes {path.stem}"
