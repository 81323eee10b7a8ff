"""Looking for secrets: in whatever was written, kept or answered, plainly or thinly disguised."""

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import psycopg
from psycopg import sql
from redis import Redis

COLUMNS = """
SELECT table_schema, table_name FROM information_schema.tables
 WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""


def disguises(key: str) -> set[bytes]:
    """The key as it may stand somewhere, in small letters and capitals alike (see `found`)."""
    bare = key.removeprefix("sk_test_").removeprefix("st_")
    plain = {key.encode(), bare.encode()}
    everywhere = "".join(f"%{byte:02x}" for byte in key.encode())
    plain |= {quote(key, safe="").encode(), everywhere.encode()}
    plain |= {key.encode().hex().encode(), bare.encode().hex().encode()}
    for before in range(3):  # base64 shifts with what stands before, and its edges with that
        encoded = base64.b64encode(b"x" * before + key.encode())
        plain |= {encoded[4:-4], base64.urlsafe_b64encode(b"x" * before + bare.encode())[4:-4]}
    return {disguise.lower() for disguise in plain}


def found(keys: Iterable[str], texts: Iterable[tuple[str, bytes]]) -> list[str]:
    """The names of the texts that hold any of the keys."""
    needles = set().union(*(disguises(key) for key in keys))
    return [name for name, text in texts if any(needle in text.lower() for needle in needles)]


def rows(database_url: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, all of its columns as text (bytes in hexadecimal), and what the
    server itself remembers of statements."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = [sql.Identifier(*row) for row in connection.execute(COLUMNS)]
        tables.append(sql.Identifier("pg_catalog", "pg_stat_activity"))
        if connection.execute("SELECT to_regclass('pg_stat_statements')").fetchone() != (None,):
            tables.append(sql.Identifier("pg_stat_statements"))
        for table in tables:
            every = sql.SQL("SELECT kept::text FROM {} AS kept").format(table)
            for (row,) in connection.execute(every):
                yield table.as_string(connection), row.encode()


def entries(redis_url: str) -> Iterator[tuple[str, bytes]]:
    """Every key of a Valkey, with its value."""
    with Redis.from_url(redis_url) as redis:
        for name in redis.scan_iter():
            yield f"valkey {name!r}", name + b" " + (redis.dump(name) or b"")
