"""Migrations: there and back, twice at once, and after a kill."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migration_files import MIGRATIONS_FOLDER, get_migration_ids
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import Conflict, StorageRefused, StorageUnavailable
from atomic_worker.cli import main
from support import HOUR, NOW, add_merchant, build_application, build_payment, run_concurrently

EVERYTHING = get_migration_ids()


def since(first: str) -> list[str]:
    """The migrations from this one on."""
    return [id for id in EVERYTHING if id >= first]


def schema(postgres: EmbeddedPostgres, url: str) -> list[str]:
    """The schema as pg_dump writes it, without what differs from run to run, and without the
    privileges of roles."""
    dumped = subprocess.run(
        [
            postgres.tool("pg_dump"),
            "--schema-only",
            "--no-privileges",
            "--exclude-table=*yoyo*",
            url,
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = dumped.stdout.splitlines()
    return [line for line in lines if line and not line.startswith(("--", "\\"))]


def copy_migrations(folder: Path, *ids: str) -> None:
    for id in ids:
        for path in MIGRATIONS_FOLDER.glob(f"{id}.*sql"):
            shutil.copy(path, folder)


def test_each_rollback_restores_the_previous_schema(
    postgres: EmbeddedPostgres, own_database: Callable[..., str], tmp_path: Path
) -> None:
    url = own_database()
    migrator = Migrator(url)
    schemas = [schema(postgres, url)]
    for id in EVERYTHING:
        copy_migrations(tmp_path, id)
        assert list(Migrator(url, tmp_path).up()) == [id]
        schemas.append(schema(postgres, url))
    full = schemas.pop()
    assert any("CREATE TABLE public.entries" in line for line in full)
    rolled_back: list[str] = []
    while id := migrator.down():
        rolled_back.append(id)
        assert schema(postgres, url) == schemas.pop(), f"after rolling back {id}"
    assert rolled_back == EVERYTHING[::-1]
    assert list(migrator.up()) == EVERYTHING
    assert schema(postgres, url) == full


def test_migration_0007_does_not_rewrite_payments(
    own_database: Callable[..., str], tmp_path: Path
) -> None:
    url = own_database()
    copy_migrations(tmp_path, *[id for id in EVERYTHING if id <= "0007.claimants"])
    migrator = Migrator(url, tmp_path)
    migrator.up()
    assert migrator.down() == "0007.claimants"
    file = "SELECT pg_relation_filenode('payments')"
    with psycopg.connect(url) as connection:
        before = connection.execute(file).fetchone()
    migrator.up()
    with psycopg.connect(url) as connection:
        assert connection.execute(file).fetchone() == before


def test_rollback_refuses_to_drop_a_ledger_with_entries(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        application = build_application(store.begin)
        payment = application.payments.record(build_payment(add_merchant(store.begin)))
        application.settlement.settle()
        migrator = Migrator(url)
        for id in reversed(since("0004.idempotency")):
            assert migrator.down() == id
        with pytest.raises(StorageRefused, match="would drop payments"):
            migrator.down()
        assert store.list_pending() == since("0004.idempotency")
        assert store.is_up(), "PostgreSQL itself answers"
        migrator.up()
        assert store.list_pending() == []
        assert store.is_up()
        seen = application.accounts.get(payment.merchant_id, payment.account_id)
        assert seen.balance == payment.money.amount
    finally:
        store.close()


def test_lease_survives_rollback_and_migration(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        application = build_application(store.begin)
        application.payments.record(build_payment(add_merchant(store.begin)))
        with store.begin() as work:
            assert len(work.payments.claim(10, HOUR, NOW)) == 1
            work.commit()
    finally:
        store.close()
    migrator = Migrator(url)
    later = since("0005.settling")
    assert [migrator.down() for _ in later] == later[::-1]
    with psycopg.connect(url) as connection:
        due = "SELECT due_at > now() + interval '50 minutes' FROM payments"
        assert connection.execute(due).fetchone() == (True,)
    assert list(migrator.up()) == later
    with psycopg.connect(url) as connection:
        assert connection.execute(due).fetchone() == (True,)


def test_up_twice_applies_nothing_the_second_time(own_database: Callable[..., str]) -> None:
    migrator = Migrator(own_database())
    migrator.up()
    assert list(migrator.up()) == []
    assert all(status.applied for status in migrator.status())


def test_concurrent_migrators_apply_each_migration_once(
    own_database: Callable[..., str],
) -> None:
    url = own_database()
    applied = run_concurrently([Migrator(url).up] * 3)
    assert sorted(len(ids) for ids in applied) == [0, 0, len(EVERYTHING)]


def test_killed_migrator_does_not_block_the_next_one(
    own_database: Callable[..., str], tmp_path: Path
) -> None:
    url = own_database()
    (tmp_path / "0001.one.sql").write_text("CREATE TABLE one ();")
    (tmp_path / "0002.slow.sql").write_text("CREATE TABLE two (); SELECT pg_sleep(600);")
    code = (
        "import sys; from pathlib import Path;"
        "from atomic_adapters.postgres.migrations import Migrator;"
        "Migrator(sys.argv[1], Path(sys.argv[2])).up()"
    )
    with subprocess.Popen([sys.executable, "-c", code, url, str(tmp_path)]) as victim:
        _wait_for_sleep(url)
        victim.kill()
    _end_orphan(url)
    (tmp_path / "0002.slow.sql").write_text("CREATE TABLE two ();")
    assert list(Migrator(url, tmp_path).up()) == ["0002.slow"]


def _wait_for_sleep(url: str) -> None:
    asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    waited = threading.Event()
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(1_000):
            if connection.execute(asleep).fetchone() is not None:
                return
            waited.wait(0.02)
    pytest.fail("the migrator never came to its second migration")


def _end_orphan(url: str) -> None:
    # PostgreSQL notices a vanished client only when it next writes to it; here it sleeps.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep'"
        )


def build_multi_host_url(url: str) -> str:
    """The same database as the second host of a URL; nothing listens at the first."""
    parts = conninfo_to_dict(url)
    query = {
        "host": f"127.0.0.1,{parts['host']}",
        "port": f"1,{parts.get('port', 5432)}",
        "target_session_attrs": "read-write",
    }
    query |= {name: str(parts[name]) for name in ("user", "password") if name in parts}
    return f"postgresql:///{parts['dbname']}?{urlencode(query)}"


def test_migrates_by_a_url_with_several_hosts(
    own_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = build_multi_host_url(own_database())

    def run(*arguments: str) -> dict[str, Any]:
        environ = {"ATOMIC_ENV": "test", "DATABASE_URL": url}
        result = CliRunner().invoke(main, ["migrate", *arguments, "--json"], env=environ)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert run("up") == {"applied": EVERYTHING}
    assert [each["applied"] for each in run("status")["migrations"]] == [True] * len(EVERYTHING)
    assert run("down", "--yes") == {"rolledBack": EVERYTHING[-1]}
    assert run("status")["migrations"][-1] == {"id": EVERYTHING[-1], "applied": False}
    assert run("up") == {"applied": EVERYTHING[-1:]}


def test_migrator_uses_one_connection(own_database: Callable[..., str], tmp_path: Path) -> None:
    """With several hosts, a second one could be to another server than the one that is locked."""
    url = own_database()
    (tmp_path / "0001.count.sql").write_text(
        "CREATE TABLE seen AS SELECT count(*) AS sessions FROM pg_stat_activity"
        " WHERE datname = current_database();"
    )
    Migrator(url, tmp_path).up()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT sessions FROM seen").fetchone() == (1,)


def test_migration_outside_a_transaction_is_recorded(
    own_database: Callable[..., str], tmp_path: Path
) -> None:
    url = own_database()
    (tmp_path / "0001.table.sql").write_text("CREATE TABLE one (id integer);")
    (tmp_path / "0002.index.sql").write_text(
        "-- transactional: false\nCREATE INDEX CONCURRENTLY one_id ON one (id);"
    )
    (tmp_path / "0002.index.rollback.sql").write_text("DROP INDEX CONCURRENTLY one_id;")
    migrator = Migrator(url, tmp_path)
    assert list(migrator.up()) == ["0001.table", "0002.index"]
    assert list(migrator.up()) == []
    with psycopg.connect(url, autocommit=True) as connection:
        index = "SELECT to_regclass('one_id') IS NOT NULL"
        assert connection.execute(index).fetchone() == (True,)
        assert migrator.down() == "0002.index"
        assert connection.execute(index).fetchone() == (False,)


def test_failed_migration_is_rolled_back(own_database: Callable[..., str], tmp_path: Path) -> None:
    url = own_database()
    (tmp_path / "0001.half.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        Migrator(url, tmp_path).up()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
    assert [status.applied for status in Migrator(url, tmp_path).status()] == [False]


def test_new_migration_is_numbered_and_has_a_rollback(tmp_path: Path) -> None:
    migrator = Migrator("postgresql:///nowhere", tmp_path)
    first, second = migrator.create("first-thing"), migrator.create("second_thing")
    assert [path.name for path in (first, second)] == [
        "0001.first-thing.sql",
        "0002.second_thing.sql",
    ]
    assert "-- depends: 0001.first-thing" in second.read_text()
    assert (tmp_path / "0002.second_thing.rollback.sql").exists()
    with pytest.raises(Conflict):
        migrator.create("../etc/passwd")


def test_unreachable_database_is_reported() -> None:
    with pytest.raises(StorageUnavailable):
        Migrator("postgresql://localhost:1/none").up()


def test_released_migrations_are_never_edited() -> None:
    """yoyo remembers a migration's name, not its content: an edit would go unnoticed."""
    recorded = (MIGRATIONS_FOLDER / "SHA256SUMS").read_text().splitlines()
    actual = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in sorted(MIGRATIONS_FOLDER.glob("*.sql"))
    ]
    assert actual == recorded, (
        "never edit a released migration; record a new one:"
        " cd migrations && sha256sum *.sql > SHA256SUMS"
    )


def test_every_migration_has_its_rollback() -> None:
    for id in EVERYTHING:
        assert (MIGRATIONS_FOLDER / f"{id}.rollback.sql").is_file()


def test_each_migration_depends_on_the_one_before_it() -> None:
    """Rolling back takes them in the order of their numbers."""
    for former, id in pairwise(EVERYTHING):
        script = (MIGRATIONS_FOLDER / f"{id}.sql").read_text()
        assert f"-- depends: {former}\n" in script, id


NOT_TRANSACTIONAL = [
    id
    for id in EVERYTHING
    if "-- transactional: false" in (MIGRATIONS_FOLDER / f"{id}.sql").read_text()
]


def test_migrations_outside_a_transaction_can_be_repeated_after_an_interruption(
    own_database: Callable[..., str], migrated: str, tmp_path: Path
) -> None:
    """Their statements commit one by one."""
    url = own_database(migrated)
    assert NOT_TRANSACTIONAL
    for id in reversed(NOT_TRANSACTIONAL):
        while Migrator(url).down() != id:
            pass
        interrupted, whole = tmp_path / f"{id}-interrupted", tmp_path / id
        for folder in (interrupted, whole):
            folder.mkdir()
            copy_migrations(folder, *[each for each in EVERYTHING if each <= id])
        with (interrupted / f"{id}.sql").open("a") as file:
            file.write("SELECT 1 / 0;")
        with pytest.raises(StorageRefused, match="division by zero"):
            Migrator(url, interrupted).up()
        assert list(Migrator(url, whole).up()) == [id]
