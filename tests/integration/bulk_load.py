"""Fills a database with a million rows quickly, without triggers, constraints and indexes."""

from collections.abc import Sequence

import psycopg

# Foreign keys first, because they depend on unique constraints.
DROP_STATEMENTS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
  FROM pg_constraint
 WHERE contype IN ('p', 'u', 'f') AND connamespace = 'public'::regnamespace
 ORDER BY contype <> 'f'
"""
# NOT VALID: the rows are consistent, and checking a million of them takes seconds.
CREATE_STATEMENTS = """
SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
              pg_get_constraintdef(oid) || CASE contype WHEN 'f' THEN ' NOT VALID' ELSE '' END)
  FROM pg_constraint
 WHERE contype IN ('p', 'u', 'f') AND connamespace = 'public'::regnamespace
 ORDER BY contype = 'f'
"""
INDEXES = """
SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
  FROM pg_index
  JOIN pg_class ON pg_class.oid = indexrelid
 WHERE relnamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def fill_database(url: str, statements: Sequence[str]) -> None:
    """Execute the statements, then restore constraints and indexes, vacuum and analyze."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        drops = [row[0] for row in connection.execute(DROP_STATEMENTS.encode())]
        creates = [row[0] for row in connection.execute(CREATE_STATEMENTS.encode())]
        for statement in drops:
            connection.execute(statement.encode())
        # What is left are indexes without a constraint.
        indexes = connection.execute(INDEXES.encode()).fetchall()
        for drop, create in indexes:
            connection.execute(drop.encode())
            creates.insert(0, create)
        for statement in [*statements, *creates]:
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
