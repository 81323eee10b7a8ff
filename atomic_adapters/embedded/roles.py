"""The roles of an embedded server, so that nothing but their creation needs its superuser."""

from typing import Final

import psycopg
from psycopg import sql

from atomic_adapters.embedded.postgres import EmbeddedPostgres

OWNER_ROLE: Final = "atomic_owner"
"""Owns the tables and applies migrations. The roles of `atomic grant` do everything else."""

APP_ROLE: Final = "atomic_app"
READONLY_ROLE: Final = "atomic_readonly"

_LIST_OBJECTS_OF_OTHERS: Final = """
SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass::text
  FROM pg_class
 WHERE relnamespace = 'public'::regnamespace
   AND relkind IN ('r', 'S')
   AND relowner <> %(owner)s::regrole
   -- An identity column's sequence follows its table.
   AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE pg_depend.objid = pg_class.oid
                      AND pg_depend.deptype IN ('a', 'i')
                      AND relkind = 'S')
UNION ALL
SELECT 'FUNCTION', oid::regprocedure::text
  FROM pg_proc
 WHERE pronamespace = 'public'::regnamespace
   AND proowner <> %(owner)s::regrole
"""


def create_roles(server: EmbeddedPostgres) -> None:
    """Create the roles unless they exist. The privileges are `atomic migrate`'s to give."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in (OWNER_ROLE, APP_ROLE, READONLY_ROLE):
            if role not in existing:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))


def give_to_owner(server: EmbeddedPostgres, database: str) -> None:
    """Make OWNER_ROLE the owner of the database and of what is in it, which belonged to the
    superuser in earlier versions."""
    owner = sql.Identifier(OWNER_ROLE)
    with psycopg.connect(server.url(database)) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), owner)
        )
        objects = connection.execute(_LIST_OBJECTS_OF_OTHERS, {"owner": OWNER_ROLE}).fetchall()
        for kind, name in objects:
            # Both come from the catalog, which has quoted the name.
            connection.execute(f"ALTER {kind} {name} OWNER TO {OWNER_ROLE}".encode())
