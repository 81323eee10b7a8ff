"""The embedded servers: they start whatever happened before, and end with their owner."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey
from processes import wait_until


@pytest.fixture(scope="module")
def data(scratch: Path) -> Path:
    return scratch / "embedded"


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres.start(data, durable=False)
    yield server
    server.stop()


def ask(server: EmbeddedPostgres, question: bytes) -> object:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(question).fetchone()
    assert row
    return row[0]


def test_embedded_server_is_postgres_18_on_a_socket(server: EmbeddedPostgres) -> None:
    assert str(ask(server, b"SHOW server_version")).startswith("18.")
    assert ask(server, b"SHOW listen_addresses") == ""
    assert ask(server, b"SHOW data_checksums") == "on"
    assert ask(server, b"SHOW timezone") == "UTC"
    assert ask(server, b"SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
    psql = [server.tool("psql"), server.url(), "-Atc", "SELECT 1"]
    assert subprocess.run(psql, capture_output=True, check=True).stdout == b"1\n"


def test_embedded_server_ignores_libpq_variables(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    assert ask(server, b"SELECT 1") == 1


def test_database_is_created_once(server: EmbeddedPostgres) -> None:
    assert server.create_database('a "name"') == server.create_database('a "name"')
    with psycopg.connect(server.create_database('a "name"')) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS things ()")
    with psycopg.connect(server.create_database("copy", template='a "name"')) as connection:
        connection.execute("SELECT FROM things")


def test_second_server_on_the_same_data_is_refused(server: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedServerError, match="Another process is running a server"):
        EmbeddedPostgres.start(server.data)
    assert ask(server, b"SELECT 1") == 1


def test_embedded_server_recovers_committed_data_after_a_kill(data: Path) -> None:
    killed = EmbeddedPostgres.start(data, durable=False)
    url = killed.create_database("kept")
    killed.process.kill()
    killed.process.wait()
    killed.stop()
    server = EmbeddedPostgres.start(data, durable=False)
    try:
        psycopg.connect(url).close()
    finally:
        server.stop()
        server.stop()


def test_server_starts_again_before_the_killed_one_is_reaped(data: Path) -> None:
    """As right after `kill -9` of `make run`, whose processes are not reaped yet."""
    killed = EmbeddedPostgres.start(data, durable=False)
    url = killed.create_database("kept")
    killed.process.kill()
    process = psutil.Process(killed.process.pid)
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 60, "it has ended")
    killed._lock.close()
    server = EmbeddedPostgres.start(data, durable=False)
    try:
        assert process.status() == psutil.STATUS_ZOMBIE, "it was reaped, so this tests nothing"
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
        killed.process.wait()


def test_pid_file_of_another_program_is_ignored(data: Path) -> None:
    killed = EmbeddedPostgres.start(data, durable=False)
    killed.process.kill()
    killed.process.wait()
    killed.stop()
    # Since then its number has passed to another process of the same user.
    pid_file = data / "postmaster.pid"
    owner = pid_file.stat().st_uid
    stranger = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
    try:
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        EmbeddedPostgres.start(data, durable=False).stop()
    finally:
        stranger.kill()
        stranger.wait()


def test_failed_start_reports_the_reason(data: Path) -> None:
    EmbeddedPostgres.start(data, durable=False).stop()
    configuration = data / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nnonsense = 1\n")
    with pytest.raises(EmbeddedServerError, match='unrecognized configuration parameter "nonse'):
        EmbeddedPostgres.start(data)
    configuration.write_text(good)
    EmbeddedPostgres.start(data, durable=False).stop()


def test_data_directory_with_other_files_is_refused(scratch: Path) -> None:
    folder = scratch / "somebody-elses"
    folder.mkdir()
    (folder / "thesis").write_text("important")
    with pytest.raises(EmbeddedServerError, match="neither empty nor a database"):
        EmbeddedPostgres.start(folder, durable=False)
    assert (folder / "thesis").read_text() == "important"


def test_socket_path_that_is_too_long_is_replaced(scratch: Path) -> None:
    folder = scratch / ("long" * 12) / ("longer" * 12)
    server = EmbeddedValkey.start(folder)
    try:
        with Redis.from_url(server.url) as redis:
            assert redis.ping()
        short = Path(server.url.removeprefix("unix://")).parent
        assert short.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    again = EmbeddedValkey.start(folder)
    again.stop()
    assert again.url == server.url
    for left in short.iterdir():
        left.unlink()
    short.rmdir()


def test_valkey_persists_nothing(scratch: Path) -> None:
    server = EmbeddedValkey.start(scratch / "forgetful")
    with pytest.raises(EmbeddedServerError, match="Another process"):
        EmbeddedValkey.start(scratch / "forgetful")
    with Redis.from_url(server.url) as redis:
        redis.set("a", 1)
    server.stop()
    server.stop()
    server = EmbeddedValkey.start(scratch / "forgetful")
    with Redis.from_url(server.url) as redis:
        assert redis.get("a") is None
    server.stop()


OWNER = """
import sys, signal
from pathlib import Path
from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
postgres = EmbeddedPostgres.start(Path(sys.argv[1]), durable=False)
valkey = EmbeddedValkey.start(Path(sys.argv[2]))
print(postgres.process.pid, valkey.process.pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_servers_end_with_their_killed_owner(data: Path, scratch: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, data, scratch / "orphan"], stdout=subprocess.PIPE
    )
    assert owner.stdout
    with owner.stdout:
        servers = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
    # A Ctrl-C in the owner's terminal is for the owner: they are in sessions of their own.
    assert {os.getsid(each.pid) for each in servers} == {each.pid for each in servers}
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: all(_ended(each) for each in servers), 60, "the servers end")
    # At once, and as if nothing had happened.
    EmbeddedPostgres.start(data, durable=False).stop()


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
