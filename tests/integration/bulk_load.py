"""Fills a database with many rows before it gets indexes, constraints and triggers."""

import subprocess
from typing import Final

import psycopg

from atomic_adapters.embedded import EmbeddedPostgres

_DISABLE_AUTOVACUUM: Final = b"""
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', name);
    END LOOP;
END $$
"""


def create_filled_database(server: EmbeddedPostgres, name: str, template: str, fill: str) -> str:
    """Create a database with the template's schema and data, and the rows of the `fill` statements.

    CHECK constraints apply to these rows; triggers do not. The tables are unlogged, which does not
    change plans and writes half as much. Autovacuum leaves them to the caller, whose VACUUM ANALYZE
    would only repeat its work. Returns the database's URL.
    """
    url = server.create_database(name)
    template_url = server.url(template)
    schema = _dump(server, template_url, "pre-data", "data")
    _run_psql(server, url, schema.replace(b"\nCREATE TABLE ", b"\nCREATE UNLOGGED TABLE "))
    with psycopg.connect(url) as connection:
        connection.execute(_DISABLE_AUTOVACUUM)
        connection.execute(fill.encode())
    _run_psql(server, url, _dump(server, template_url, "post-data"))
    return url


def _dump(server: EmbeddedPostgres, url: str, *sections: str) -> bytes:
    options = [f"--section={section}" for section in sections]
    command = [server.tool("pg_dump"), *options, url]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _run_psql(server: EmbeddedPostgres, url: str, script: bytes) -> None:
    # Index builds sort in memory, on one core: the test processes use the other.
    settings = "SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 0;\n"
    command = [server.tool("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", url]
    subprocess.run(command, input=settings.encode() + script, check=True, stdout=subprocess.DEVNULL)
