"""Searches dumps of PostgreSQL and Valkey, logs and responses for secrets, plain or encoded."""

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import psycopg
from psycopg import sql
from redis import Redis

TABLES_QUERY = """
SELECT table_schema, table_name FROM information_schema.tables
 WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""


def encode_variants(secret: str) -> set[bytes]:
    """The encodings of a secret, in lower case: `find_secrets` ignores case."""
    bare = secret.removeprefix("sk_test_").removeprefix("st_")
    variants = {secret.encode(), bare.encode()}
    percent_encoded = "".join(f"%{byte:02x}" for byte in secret.encode())
    variants |= {quote(secret, safe="").encode(), percent_encoded.encode()}
    variants |= {secret.encode().hex().encode(), bare.encode().hex().encode()}
    # The base64 of a text depends on the length of its prefix, and its first and last characters
    # on the neighbouring bytes.
    for prefix_length in range(3):
        prefix = b"x" * prefix_length
        variants |= {
            base64.b64encode(prefix + secret.encode())[4:-4],
            base64.urlsafe_b64encode(prefix + bare.encode())[4:-4],
        }
    return {variant.lower() for variant in variants}


def find_secrets(secrets: Iterable[str], texts: Iterable[tuple[str, bytes]]) -> list[str]:
    """The names of the texts that contain any of the secrets."""
    variants = set().union(*(encode_variants(secret) for secret in secrets))
    lowered = ((name, text.lower()) for name, text in texts)
    return [name for name, text in lowered if any(variant in text for variant in variants)]


def dump_database(database_url: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table with all columns as text (bytes in hexadecimal), and the
    statements in the server's activity and statistics views."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = [sql.Identifier(*row) for row in connection.execute(TABLES_QUERY)]
        tables.append(sql.Identifier("pg_catalog", "pg_stat_activity"))
        if connection.execute("SELECT to_regclass('pg_stat_statements')").fetchone() != (None,):
            tables.append(sql.Identifier("pg_stat_statements"))
        for table in tables:
            query = sql.SQL("SELECT stored::text FROM {} AS stored").format(table)
            for (row,) in connection.execute(query):
                yield table.as_string(connection), row.encode()


def dump_valkey(redis_url: str) -> Iterator[tuple[str, bytes]]:
    """Every key of a Valkey with its value."""
    with Redis.from_url(redis_url) as redis:
        for name in redis.scan_iter():
            yield f"valkey {name!r}", name + b" " + (redis.dump(name) or b"")
