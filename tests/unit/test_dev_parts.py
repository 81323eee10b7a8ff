"""The parts of `atomic dev` that need no server."""

import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import click
import pytest

from atomic_worker.dev.checks import Probe, check_port_is_free, only_one_in
from atomic_worker.dev.env_file import read_env_file, write_env_file
from atomic_worker.dev.reload import Watcher
from processes import eventually

AWKWARD = {
    "URL": "postgresql://u@/a?host=/tmp/a%20b&port=1",
    "KEY": "sk_test_1",
    "TEXT": "a $b `c`",
}


def test_what_is_written_is_read_by_us_and_by_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    assert read_env_file(path) == {}
    write_env_file(path, {"OLD": "1"})
    write_env_file(path, AWKWARD)
    assert read_env_file(path) == AWKWARD
    script = f'. {path}; printf "%s\\n" "$URL" "$KEY" "$TEXT"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == list(AWKWARD.values())


def test_it_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_env_file(tmp_path / "dev.env", AWKWARD)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "dev.env").stat().st_mode) == 0o600


def test_one_run_per_folder(tmp_path: Path) -> None:
    with only_one_in(tmp_path):
        told = rf"already running in this folder \(process {os.getpid()}\)"
        with pytest.raises(click.ClickException, match=told), only_one_in(tmp_path):
            pass
    with only_one_in(tmp_path):
        pass


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(click.ClickException, match=f"Port {port} on 127.0.0.1 cannot be used"):
            check_port_is_free("127.0.0.1", port)
    check_port_is_free("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(click.ClickException, match=r"on 192\.0\.2\.1 cannot be used"):
        check_port_is_free("192.0.2.1", 3000)


@pytest.mark.parametrize(
    ("reply", "good"), [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 No\r\n\r\n", False)]
)
def test_the_probe_never_waits_and_sees_the_answer(reply: bytes, good: bool) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        probe = Probe("127.0.0.1", server.getsockname()[1], "/health")
        assert not probe.has_answered(), "nobody listens"
        server.listen()
        assert not probe.has_answered(), "asked"
        assert not probe.has_answered(), "no answer yet"
        client, _ = server.accept()
        with client:
            assert client.recv(4_096).startswith(b"GET /health HTTP/1.1\r\n")
            client.sendall(reply)
            answered = threading.Event()

            def looks_done() -> bool:
                if probe.has_answered():
                    answered.set()
                return answered.is_set() or probe._connection is None

            eventually(looks_done, 5, "the answer is read")
    assert answered.is_set() == good
    probe.close()


def test_the_watcher_sees_what_comes_changes_and_goes(tmp_path: Path) -> None:
    folder = tmp_path / "atomic_core" / "domain"
    folder.mkdir(parents=True)
    module, statement = folder / "money.py", folder / "money.sql"
    module.write_text("1")
    watcher = Watcher(tmp_path)
    assert watcher.changed() == []
    statement.write_text("SELECT")
    (folder / "notes.txt").write_text("not code")
    assert watcher.changed() == [statement]
    os.utime(module, ns=(1, 1))
    statement.unlink()
    assert watcher.changed() == [module, statement]
    assert watcher.changed() == []
