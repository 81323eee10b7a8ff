"""Migrations without the ones after them: their statements one by one, as the migrator runs them.

Today's code needs the latest schema. A test that a migration runs while payments flow rolls back
that migration alone.
"""

from pathlib import Path

import psycopg
import sqlparse

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def apply_alone(url: str, migration_id: str) -> None:
    _execute_each(url, MIGRATIONS / f"{migration_id}.sql")


def roll_back_alone(url: str, migration_id: str) -> None:
    _execute_each(url, MIGRATIONS / f"{migration_id}.rollback.sql")


def _execute_each(url: str, script: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in sqlparse.split(script.read_text(encoding="utf-8")):
            connection.execute(statement.encode())
