"""Statements as a person at psql may run them."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

Execute = Callable[[psycopg.Connection, bytes, dict[str, object]], None]


def execute_directly(
    connection: psycopg.Connection, statement: bytes, parameters: dict[str, object]
) -> None:
    connection.execute(statement, parameters)


def execute_in_trigger(
    connection: psycopg.Connection, statement: bytes, parameters: dict[str, object]
) -> None:
    """Execute the statement in a trigger of a temporary table, which needs no right on any other
    table. Inside of it pg_trigger_depth() is 1, as in the triggers of the schema."""
    text = psycopg.ClientCursor(connection).mogrify(statement, parameters)
    for command in (
        sql.SQL("CREATE TEMP TABLE bait (n integer) ON COMMIT DROP"),
        sql.SQL("CREATE FUNCTION pg_temp.act() RETURNS trigger LANGUAGE plpgsql AS {}").format(
            sql.Literal(f"BEGIN\n{text};\nRETURN NULL;\nEND")
        ),
        sql.SQL(
            "CREATE TRIGGER act AFTER INSERT ON bait"
            " FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.act()"
        ),
        sql.SQL("INSERT INTO bait VALUES (1)"),
    ):
        connection.execute(command)


either_way = pytest.mark.parametrize(
    "execute", [execute_directly, execute_in_trigger], ids=["directly", "in a trigger"]
)
"""Runs a test's statements in both ways."""
