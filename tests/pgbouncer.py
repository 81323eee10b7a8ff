"""A real PgBouncer in front of a PostgreSQL under test."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from atomic_adapters.embedded.process_support import get_server_user
from processes import find_free_port, wait_until

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")

CONFIGURATION = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 200
"""


@dataclass(frozen=True, slots=True)
class PgBouncer:
    port: int

    def route(self, url: str) -> str:
        """The URL of an embedded server, through this pooler."""
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.username}@127.0.0.1:{self.port}{parts.path}"

    def is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def run_pgbouncer(
    server_url: str, folder: Path, *, mode: str = "transaction", pool_size: int = 4
) -> Iterator[PgBouncer]:
    """In front of the server of this URL, for each of its databases. Skips the test where PgBouncer
    is missing."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    query = parse_qs(urlsplit(server_url).query)
    port = find_free_port()
    folder.mkdir(parents=True, exist_ok=True)
    users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text('"postgres" ""\n"atomic_app" ""\n"atomic_owner" ""\n', encoding="utf-8")
    configuration.write_text(
        CONFIGURATION.format(
            host=query["host"][0],
            server_port=query["port"][0],
            port=port,
            users=users,
            mode=mode,
            pool_size=pool_size,
        ),
        encoding="utf-8",
    )
    # It refuses to run as root.
    user, group = get_server_user() or (None, None)
    for path in (folder, users, configuration):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, configuration],
            stdout=log,
            stderr=log,
            cwd="/",
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    pgbouncer = PgBouncer(port)
    try:
        wait_until(
            lambda: pgbouncer.is_listening() or process.poll() is not None, 60, "PgBouncer listens"
        )
        assert process.poll() is None, (folder / "pgbouncer.log").read_text(errors="replace")
        yield pgbouncer
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
