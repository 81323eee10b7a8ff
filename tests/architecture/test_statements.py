"""Every SQL statement is sound: it names its columns and PostgreSQL can prepare it."""

import re

import psycopg
import pytest

from atomic_adapters.postgres.statements import FOLDER, statements
from support import numbered

STATEMENTS = {
    f"{path.stem}.{name}": statement
    for path in sorted(FOLDER.glob("*.sql"))
    for name, statement in statements(path.stem).items()
}
UTILITY = {"ledger_verification.one_snapshot"}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - UTILITY))
def test_postgres_prepares(shared_database_url: str, name: str) -> None:
    with psycopg.connect(shared_database_url) as connection:
        connection.execute(b"PREPARE it AS " + numbered(STATEMENTS[name])[0])


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_names_its_columns(name: str) -> None:
    assert not re.search(rb"SELECT\s+(\w+\.)?\*", STATEMENTS[name], re.IGNORECASE)
    assert not re.search(rb"RETURNING\s+(\w+\.)?\*", STATEMENTS[name], re.IGNORECASE)


def test_every_statement_is_used(request: pytest.FixtureRequest) -> None:
    source = "".join(path.read_text() for path in FOLDER.glob("*.py"))
    audited = {"ledger_verification." + name for name in statements("ledger_verification")}
    for name in STATEMENTS.keys() - audited:
        assert f'_SQL["{name.split(".")[1]}"]' in source, f"nobody uses {name}"


def test_a_name_given_twice_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("sql")
    (folder / "twice.sql").write_text("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")
    monkeypatch.setattr("atomic_adapters.postgres.statements.FOLDER", folder)
    with pytest.raises(ValueError, match="twice"):
        statements("twice")
