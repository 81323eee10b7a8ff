"""The parts of `atomic dev` that need no server."""

import json
import os
import socket
import stat
import subprocess
import threading
import urllib.request
from pathlib import Path

import click
import psutil
import pytest

from atomic_adapters.environ import read_env_file
from atomic_worker.dev import local_stripe
from atomic_worker.dev.checks import HealthProbe, check_port_is_free, lock_run_folder
from atomic_worker.dev.env_file import ensure_key_file, write_env_file
from atomic_worker.dev.reload import FileWatcher
from processes import wait_until

SPECIAL_VALUES = {
    "URL": "postgresql://u@/a?host=/tmp/a%20b&port=1",
    "KEY": "sk_test_1",
    "TEXT": "a $b `c`",
}


def test_env_file_is_read_by_python_and_by_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    assert read_env_file(path) == {}
    write_env_file(path, {"OLD": "1"})
    write_env_file(path, SPECIAL_VALUES)
    assert read_env_file(path) == SPECIAL_VALUES
    # In a program that the shell starts, which gets only what is exported.
    script = f'. {path}; sh -c \'printf "%s\\n" "$URL" "$KEY" "$TEXT"\''
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == list(SPECIAL_VALUES.values())


def test_env_file_is_readable_by_its_owner_only_for_any_umask(tmp_path: Path) -> None:
    previous_umask = os.umask(0)
    try:
        write_env_file(tmp_path / "dev.env", SPECIAL_VALUES)
    finally:
        os.umask(previous_umask)
    assert stat.S_IMODE((tmp_path / "dev.env").stat().st_mode) == 0o600


def test_key_file_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "webhook.key"
    keys = iter(("first", "second"))
    previous_umask = os.umask(0)
    try:
        for _ in range(2):
            assert ensure_key_file(path, lambda: next(keys)) == "first"
    finally:
        os.umask(previous_umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("")
    assert ensure_key_file(path, lambda: next(keys)) == "second"


def test_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with lock_run_folder(tmp_path):
        message = rf"already running in this folder \(process {os.getpid()}\)"
        with pytest.raises(click.ClickException, match=message), lock_run_folder(tmp_path):
            pass
    with lock_run_folder(tmp_path):
        pass


def test_port_in_use_is_reported() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(click.ClickException, match=f"Port {port} on 127.0.0.1 cannot be used"):
            check_port_is_free("127.0.0.1", port)
    check_port_is_free("127.0.0.1", port)


def test_foreign_address_is_reported() -> None:
    with pytest.raises(click.ClickException, match=r"on 192\.0\.2\.1 cannot be used"):
        check_port_is_free("192.0.2.1", 3000)


@pytest.mark.parametrize(
    ("response", "is_success"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 No\r\n\r\n", False)],
)
def test_probe_does_not_block_and_detects_success(response: bytes, is_success: bool) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        probe = HealthProbe("127.0.0.1", server.getsockname()[1], "/health")
        assert not probe.has_succeeded(), "the server does not listen"
        server.listen()
        assert not probe.has_succeeded(), "the request is sent"
        assert not probe.has_succeeded(), "no response has arrived"
        client, _ = server.accept()
        with client:
            assert client.recv(4_096).startswith(b"GET /health HTTP/1.1\r\n")
            client.sendall(response)
            succeeded = threading.Event()

            def is_finished() -> bool:
                if probe.has_succeeded():
                    succeeded.set()
                return succeeded.is_set() or probe._connection is None

            wait_until(is_finished, 60, "the response is read")
    assert succeeded.is_set() == is_success
    probe.close()


def test_watcher_detects_created_changed_and_deleted_files(tmp_path: Path) -> None:
    folder = tmp_path / "atomic_core" / "domain"
    folder.mkdir(parents=True)
    module, statement = folder / "money.py", folder / "money.sql"
    module.write_text("1")
    watcher = FileWatcher(tmp_path)
    assert watcher.list_changed_files() == []
    statement.write_text("SELECT")
    (folder / "notes.txt").write_text("not code")
    assert watcher.list_changed_files() == [statement]
    os.utime(module, ns=(1, 1))
    statement.unlink()
    assert watcher.list_changed_files() == [module, statement]
    assert watcher.list_changed_files() == []


@pytest.mark.parametrize(
    ("environ", "is_needed"),
    [
        ({}, False),
        ({"CARD_NETWORK": "sandbox"}, False),
        ({"CARD_NETWORK": "stripe"}, True),
        ({"CARD_NETWORK": "stripe", "STRIPE_SECRET_KEY": "sk_test_1"}, False),
        ({"CARD_NETWORK": "stripe", "STRIPE_API_BASE": "http://localhost:1"}, False),
    ],
)
def test_localstripe_takes_the_place_of_stripe_without_a_key(
    environ: dict[str, str], is_needed: bool
) -> None:
    assert local_stripe.is_needed(environ) is is_needed


def test_localstripe_serves_this_machine_only(tmp_path: Path) -> None:
    first_port = local_stripe.choose_port()
    with socket.create_server((local_stripe.HOST, first_port)):
        port = local_stripe.choose_port()
    assert port != first_port
    process = local_stripe.launch(port, tmp_path / "log").process
    try:
        wait_until(lambda: is_listening(port), 60, "localstripe listens")
        url = f"{local_stripe.build_url(port)}/v1/payment_intents"
        authorization = {"Authorization": f"Bearer {local_stripe.KEY}"}
        request = urllib.request.Request(url, headers=authorization)  # noqa: S310  a URL of ours
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  a URL of ours
            assert json.load(response)["data"] == []
        listening = psutil.Process(process.pid).net_connections()
        assert {connection.laddr.ip for connection in listening} == {local_stripe.HOST}
    finally:
        process.kill()
        process.wait(60)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((local_stripe.HOST, port)) == 0


def test_missing_localstripe_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_stripe, "find_spec", lambda _: None)
    with pytest.raises(click.ClickException, match="make lint"):
        local_stripe.choose_port()
