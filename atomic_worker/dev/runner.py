"""`atomic dev`: everything on one machine, with nothing to install."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.child_process import start_child
from atomic_adapters.settings import DEV_ENV, Settings
from atomic_worker.dev.checks import Probe, check_port_is_free, lock_run_folder
from atomic_worker.dev.child import Child, Ending, Launched
from atomic_worker.dev.env_file import read_env_file, write_env_file
from atomic_worker.dev.reload import Watcher
from atomic_worker.dev.supervisor import TICK_SECONDS, Supervisor
from atomic_worker.stop_request import StopRequest

DATABASE: Final = "atomic"

OUR_PROCESSES: Final = ("api", "worker", "sweeper")

# All of it together stays below the ten seconds that a person, or a container runtime, waits.
API_ENDS: Final[Sequence[Ending]] = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 0.5))
WORKERS_END: Final[Sequence[Ending]] = ((signal.SIGTERM, 2.0), (signal.SIGKILL, 0.5))
VALKEY_ENDS: Final[Sequence[Ending]] = ((signal.SIGTERM, 0.5), (signal.SIGKILL, 0.5))
POSTGRES_ENDS: Final[Sequence[Ending]] = (
    (signal.SIGINT, 1.0),
    (signal.SIGQUIT, 0.5),
    (signal.SIGKILL, 0.5),
)

HEALTH_PATH: Final = "/api/v1/health/live"
"""Not limited, so that looking does not use up the developer's own requests."""

MAX_NAMES: Final = 3
"""Changed files that are named on a reload."""

READY: Final = """\
Atomic answers at {base_url}. In another terminal, in this folder:

  . {dev_env}
  curl -sS "$BASE_URL/api/v1/payments" \\
    -H "Authorization: Bearer $API_KEY" \\
    -H "Content-Type: application/json" \\
    -H "Idempotency-Key: order-1234" \\
    -d '{{"amount": 5000, "currency": "{currency}", "source": "tok_visa", "description": "Order #1234"}}'

Ctrl-C stops everything."""  # noqa: E501 - a command that can be pasted


@click.command()
@click.option("--reload", is_flag=True, help="Restart API, worker and sweeper on changes.")
def dev(*, reload: bool) -> None:
    """Run everything here: PostgreSQL, Valkey, API, worker and sweeper.

    Servers are embedded, their data in .atomic/, unless DATABASE_URL and REDIS_URL name others.
    Writes .atomic/dev.env for scripts and for the other commands. Ctrl-C stops everything, a
    second one at once.
    """
    # As Settings sees it: an empty variable is one that is not set.
    said = {name: value for name, value in os.environ.items() if value}
    environ = {**read_env_file(Path(".env")), **said}
    if environ.get("ATOMIC_ENV") == "production":
        raise click.ClickException("ATOMIC_ENV is production: atomic dev is for development.")
    folder = DEV_ENV.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(lock_run_folder(folder))
        stop = stack.enter_context(StopRequest.on_signals())
        DevRun(environ, folder, stop, reload=reload).run()


@dataclass(slots=True)
class DevRun:
    """One run of `atomic dev`."""

    environ: dict[str, str]
    folder: Path
    stop: StopRequest
    reload: bool
    _probe: Probe | None = None
    _currency: str = ""
    _watcher: Watcher | None = None

    def run(self) -> None:
        # What is wrong with the configuration is said before anything starts.
        settings = Settings.from_environ({**self.environ, **self._urls_to_come()})
        check_port_is_free(settings.host, settings.port)
        self._probe = Probe(_host(settings), settings.port, HEALTH_PATH)
        self._watcher = Watcher() if self.reload else None
        servers = self._servers()
        ours = [
            self._process("api", "serve", API_ENDS),
            self._process("worker", "worker", WORKERS_END),
            self._process("sweeper", "sweep", WORKERS_END),
        ]
        supervisor = Supervisor(
            [*([server] for server in servers), ours[1:], ours[:1]],
            self.stop,
            each_tick=lambda: self._tick(supervisor, settings),
        )
        with supervisor.in_charge():
            for server in servers:
                if not self.stop.is_requested:
                    supervisor.say(server.name, "starting")
                    server.start()
            self._prepare(settings)
            supervisor.run()

    @property
    def _names_database(self) -> bool:
        named = ("DATABASE_URL", "PGHOST", "PGDATABASE", "PGSERVICE")
        return any(self.environ.get(name) for name in named)

    def _urls_to_come(self) -> dict[str, str]:
        return {} if self._names_database else {"DATABASE_URL": f"postgresql:///{DATABASE}"}

    def _servers(self) -> list[Child]:
        """The embedded servers that are needed. Each tells its address when it starts; after a
        restart it is the same."""
        servers: list[Child] = []
        if not self._names_database:
            servers.append(Child("postgres", self._start_postgres, POSTGRES_ENDS))
        if not self.environ.get("REDIS_URL"):
            servers.append(Child("valkey", self._start_valkey, VALKEY_ENDS))
        return servers

    def _start_postgres(self) -> Launched:
        server = EmbeddedPostgres.start(self.folder / "postgres")
        self.environ["DATABASE_URL"] = server.create_database(DATABASE)
        return Launched(server.process, release=server.stop)

    def _start_valkey(self) -> Launched:
        server = EmbeddedValkey.start(self.folder / "valkey")
        self.environ["REDIS_URL"] = server.url
        return Launched(server.process, release=server.stop)

    def _process(self, name: str, command: str, endings: Sequence[Ending]) -> Child:
        def launch() -> Launched:
            reader, writer = os.pipe()
            try:
                process = self._atomic(command, stdout=writer, stderr=writer)
            except BaseException:
                os.close(reader)
                raise
            finally:
                os.close(writer)
            return Launched(process, reader)

        return Child(name, launch, endings)

    def _atomic(
        self, *arguments: str, stdout: int | None = None, stderr: int | None = None, **more: str
    ) -> subprocess.Popen[bytes]:
        return start_child(
            [sys.executable, "-m", "atomic_worker", *arguments],
            env={**self.environ, "PYTHONUNBUFFERED": "1", **more},
            stdout=stdout,
            stderr=stderr,
        )

    def _prepare(self, settings: Settings) -> None:
        """Migrate and seed: in processes of their own, so that this one keeps no connections."""
        path = self.folder / DEV_ENV.name
        left = read_env_file(path).get("API_KEY", "")
        self._finish(self._atomic("migrate", "up"))
        if self.stop.is_requested:
            return
        seeding = ("seed", "--json", "--ensure-key", "dev")
        told = self._finish(self._atomic(*seeding, stdout=subprocess.PIPE, API_KEY=left))
        if self.stop.is_requested:
            return
        seeded = json.loads(told)
        self._currency = seeded["currency"]
        values = {
            "BASE_URL": _base_url(settings),
            "API_KEY": seeded["apiKey"],
            "MERCHANT_ID": seeded["merchantId"],
            "ACCOUNT_ID": seeded["accountId"],
            "DATABASE_URL": self.environ.get("DATABASE_URL"),
            "REDIS_URL": self.environ.get("REDIS_URL"),
        }
        write_env_file(path, {name: value for name, value in values.items() if value})

    def _finish(self, process: subprocess.Popen[bytes]) -> bytes:
        """Wait for a command and return what it printed. If it fails it has said why, and we
        leave. Asked to stop, it is cut short."""
        # The supervisor, in charge, is woken by deaths: this waits for either.
        while process.poll() is None and not self.stop.wait(TICK_SECONDS):
            pass
        if process.poll() is None:
            process.terminate()
        # What it prints is smaller than a pipe.
        output, _ = process.communicate()
        if process.returncode and not self.stop.is_requested:
            raise click.exceptions.Exit(1)
        return output or b""

    def _tick(self, supervisor: Supervisor, settings: Settings) -> None:
        if self._probe and self._probe.has_answered():
            self._probe = None
            text = READY.format(
                base_url=_base_url(settings),
                dev_env=self.folder / DEV_ENV.name,
                currency=self._currency,
            )
            click.secho(f"\n{text}\n", bold=True)
        if self._watcher and (changed := self._watcher.changed()):
            names = ", ".join(path.name for path in changed[:MAX_NAMES])
            supervisor.say("dev", f"changed: {names}; restarting")
            supervisor.renew(OUR_PROCESSES)


def _host(settings: Settings) -> str:
    """Where a client on this machine finds the API."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104


def _base_url(settings: Settings) -> str:
    host = _host(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
