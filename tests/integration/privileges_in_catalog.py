"""The privileges of roles as PostgreSQL's catalog has them, and as they are declared."""

from collections.abc import Iterator

import psycopg

from atomic_adapters.postgres.privileges import PRIVILEGES

LIST_TABLE_PRIVILEGES = b"""
SELECT relname::text, privilege_type, NULL::text
  FROM pg_class CROSS JOIN aclexplode(relacl)
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND grantee = %(role)s::regrole
 UNION ALL
SELECT relname::text, privilege_type, attname::text
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid CROSS JOIN aclexplode(attacl)
 WHERE relnamespace = 'public'::regnamespace AND grantee = %(role)s::regrole
"""

LIST_PUBLIC_PRIVILEGES = b"""
SELECT relname::text FROM pg_class CROSS JOIN aclexplode(relacl)
 WHERE relnamespace = 'public'::regnamespace AND grantee = 0
 UNION ALL
SELECT proname::text
  FROM pg_proc CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner)))
 WHERE pronamespace = 'public'::regnamespace AND grantee = 0
"""

Privilege = tuple[str, str, str | None]


def list_privileges(url: str, role: str) -> set[Privilege]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(LIST_TABLE_PRIVILEGES, {"role": role}).fetchall())


def list_declared() -> Iterator[Privilege]:
    for table, privileges in PRIVILEGES.items():
        if privileges.can_read:
            yield table, "SELECT", None
        if privileges.can_delete:
            yield table, "DELETE", None
        for column in privileges.insert.split():
            yield table, "INSERT", column
        for column in privileges.update.split():
            yield table, "UPDATE", column


DECLARED = set(list_declared())
