"""`atomic dev`: runs every process and its servers on one machine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click

from atomic_adapters.connection_urls import check_connection_urls
from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from atomic_adapters.embedded.child_process import start_child
from atomic_adapters.embedded.roles import (
    APP_ROLE,
    OWNER_ROLE,
    READONLY_ROLE,
    create_roles,
    give_to_owner,
)
from atomic_adapters.environ import read_env_file
from atomic_adapters.network_settings import SECRET_KEY
from atomic_adapters.settings import DEV_ENV, DEV_PREFIX, Settings
from atomic_adapters.webhook_settings import ENCRYPTION_KEYS
from atomic_adapters.webhooks.secret_cipher import generate_key
from atomic_worker.dev import local_stripe
from atomic_worker.dev.checks import HealthProbe, check_port_is_free, lock_run_folder
from atomic_worker.dev.child import Child, LaunchedProcess, StopStep
from atomic_worker.dev.env_file import ensure_key_file, write_env_file
from atomic_worker.dev.rate_limits import set_development_limits
from atomic_worker.dev.reload import FileWatcher
from atomic_worker.dev.supervisor import TICK_SECONDS, Supervisor
from atomic_worker.stop_request import StopRequest

DATABASE: Final = "atomic"

RELOADED_PROCESSES: Final = ("api", "worker", "sweeper")

# The sum stays below ten seconds, after which a container runtime kills the process.
API_STOP_STEPS: Final[Sequence[StopStep]] = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 0.5))
WORKER_STOP_STEPS: Final[Sequence[StopStep]] = ((signal.SIGTERM, 2.0), (signal.SIGKILL, 0.5))
VALKEY_STOP_STEPS: Final[Sequence[StopStep]] = ((signal.SIGTERM, 0.5), (signal.SIGKILL, 0.5))
POSTGRES_STOP_STEPS: Final[Sequence[StopStep]] = (
    (signal.SIGINT, 1.0),
    (signal.SIGQUIT, 0.5),
    (signal.SIGKILL, 0.5),
)

HEALTH_PATH: Final = "/api/v1/health/live"
"""Not rate limited, so that the probe does not consume the developer's limit."""

WEBHOOK_KEY: Final = "webhook.key"
"""The file with the key of the signing secrets: without it they cannot be read after a restart."""

MAX_FILE_NAMES: Final = 3
"""Changed files that a reload prints."""

LOCAL_STRIPE: Final = (
    "no STRIPE_SECRET_KEY: payments go to localstripe at {}, which charges no card and begins empty"
)

READY_MESSAGE: Final = """\
Atomic answers at {base_url}. In another terminal, in this folder:

  . {dev_env}
  curl -sS "$BASE_URL/api/v1/payments" \\
    -H "Authorization: Bearer $API_KEY" \\
    -H "Content-Type: application/json" \\
    -H "Idempotency-Key: order-$(date +%s)" \\
    -d '{{"amount": 5000, "currency": "{currency}", "source": "{source}", "description": "Order #1234"}}'

Ctrl-C stops everything."""  # noqa: E501 - a command that can be pasted


@click.command()
@click.option("--reload", is_flag=True, help="Restart API, worker and sweeper on changes.")
def dev(*, reload: bool) -> None:
    """Run PostgreSQL, Valkey, API, worker and sweeper on this machine.

    The servers are embedded, with their data in .atomic/, unless DATABASE_URL and REDIS_URL name
    others. Writes .atomic/dev.env for scripts and other commands. Ctrl-C stops everything; a
    second Ctrl-C kills it.
    """
    # Like Settings: an empty variable counts as unset.
    variables = {name: value for name, value in os.environ.items() if value}
    environ = {**read_env_file(Path(".env")), **variables}
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
    _probe: HealthProbe | None = None
    _currency: str = ""
    _watcher: FileWatcher | None = None
    _owner_url: str = ""
    """Of the embedded database, for migrations; the other processes do not get it."""
    _local_stripe_port: int | None = None
    """Of localstripe, if it takes the place of Stripe."""

    def run(self) -> None:
        if local_stripe.is_needed(self.environ):
            port = local_stripe.choose_port()
            self.environ["STRIPE_API_BASE"] = local_stripe.build_url(port)
            self.environ[SECRET_KEY] = local_stripe.KEY
            self._local_stripe_port = port
        if not self.environ.get(ENCRYPTION_KEYS):
            key = ensure_key_file(self.folder / WEBHOOK_KEY, generate_key)
            self.environ[ENCRYPTION_KEYS] = key
        rate_limits = set_development_limits(self.environ)
        # Errors of the configuration are reported before anything starts.
        placeholders = {} if self._has_database else {"DATABASE_URL": f"postgresql:///{DATABASE}"}
        settings = Settings.from_environ({**self.environ, **placeholders})
        check_connection_urls(settings)
        check_port_is_free(settings.host, settings.port)
        self._probe = HealthProbe(_get_client_host(settings), settings.port, HEALTH_PATH)
        self._watcher = FileWatcher() if self.reload else None
        servers = self._build_servers()
        processes = [
            self._build_process("api", "serve", API_STOP_STEPS),
            self._build_process("worker", "worker", WORKER_STOP_STEPS),
            self._build_process("sweeper", "sweep", WORKER_STOP_STEPS),
        ]
        supervisor = Supervisor(
            [*([server] for server in servers), processes[1:], processes[:1]],
            self.stop,
            on_tick=lambda: self._tick(supervisor, settings),
        )
        with supervisor.stop_children_on_exit():
            if rate_limits:
                supervisor.print_line("dev", rate_limits)
            if self._local_stripe_port:
                supervisor.print_line("dev", LOCAL_STRIPE.format(self.environ["STRIPE_API_BASE"]))
            for server in servers:
                if not self.stop.is_requested:
                    supervisor.print_line(server.name, "starting")
                    server.start()
            self._prepare(settings)
            supervisor.run()

    @property
    def _has_database(self) -> bool:
        """Whether the environment names a database, so that no embedded one is needed."""
        names = ("DATABASE_URL", "PGHOST", "PGDATABASE", "PGSERVICE")
        return any(self.environ.get(name) for name in names)

    def _build_servers(self) -> list[Child]:
        """The embedded servers that are needed. Each sets its URL in `environ` when it starts; a
        restart keeps the URL."""
        servers: list[Child] = []
        if not self._has_database:
            servers.append(Child("postgres", self._start_postgres, POSTGRES_STOP_STEPS))
        if not self.environ.get("REDIS_URL"):
            servers.append(Child("valkey", self._start_valkey, VALKEY_STOP_STEPS))
        if self._local_stripe_port:
            log_path = self.folder / "localstripe.log"
            launch = partial(local_stripe.launch, self._local_stripe_port, log_path)
            servers.append(Child("localstripe", launch, WORKER_STOP_STEPS))
        return servers

    def _start_postgres(self) -> LaunchedProcess:
        server = EmbeddedPostgres.start(self.folder / "postgres")
        server.create_database(DATABASE)
        create_roles(server)
        give_to_owner(server, DATABASE)
        self.environ["DATABASE_URL"] = server.url(DATABASE, APP_ROLE)
        self._owner_url = server.url(DATABASE, OWNER_ROLE)
        return LaunchedProcess(server.process, release=server.stop)

    def _start_valkey(self) -> LaunchedProcess:
        server = EmbeddedValkey.start(self.folder / "valkey")
        self.environ["REDIS_URL"] = server.url
        return LaunchedProcess(server.process, release=server.stop)

    def _build_process(self, name: str, command: str, stop_steps: Sequence[StopStep]) -> Child:
        def launch() -> LaunchedProcess:
            reader, writer = os.pipe()
            try:
                process = self._start_command(command, stdout=writer, stderr=writer)
            except BaseException:
                os.close(reader)
                raise
            finally:
                os.close(writer)
            return LaunchedProcess(process, reader)

        return Child(name, launch, stop_steps)

    def _start_command(
        self,
        *arguments: str,
        stdout: int | None = None,
        stderr: int | None = None,
        **extra_environ: str,
    ) -> subprocess.Popen[bytes]:
        return start_child(
            [sys.executable, "-m", "atomic_worker", *arguments],
            env={**self.environ, "PYTHONUNBUFFERED": "1", **extra_environ},
            stdout=stdout,
            stderr=stderr,
        )

    def _prepare(self, settings: Settings) -> None:
        """Migrate and seed, in separate processes, so that this one keeps no connections."""
        path = self.folder / DEV_ENV.name
        previous_key = read_env_file(path).get("API_KEY", "")
        self._await_command(self._start_migration())
        if self.stop.is_requested:
            return
        seeding = self._start_command(
            *("seed", "--json", "--ensure-key", "dev"), stdout=subprocess.PIPE, API_KEY=previous_key
        )
        output = self._await_command(seeding)
        if self.stop.is_requested:
            return
        seeded = json.loads(output)
        self._currency = seeded["currency"]
        values = {
            "BASE_URL": _build_base_url(settings),
            "API_KEY": seeded["apiKey"],
            "MERCHANT_ID": seeded["merchantId"],
            "ACCOUNT_ID": seeded["accountId"],
            "LOCALSTRIPE_URL": self.environ["STRIPE_API_BASE"] if self._local_stripe_port else "",
            **{
                DEV_PREFIX + name: value
                for name, value in (
                    ("DATABASE_URL", self.environ.get("DATABASE_URL")),
                    ("MIGRATION_DATABASE_URL", self._owner_url),
                    ("REDIS_URL", self.environ.get("REDIS_URL")),
                    (ENCRYPTION_KEYS, self.environ[ENCRYPTION_KEYS]),
                )
            },
        }
        write_env_file(path, {name: value for name, value in values.items() if value})

    def _start_migration(self) -> subprocess.Popen[bytes]:
        if not self._owner_url:
            return self._start_command("migrate", "up")
        return self._start_command(
            *("migrate", "up"),
            MIGRATION_DATABASE_URL=self._owner_url,
            APP_ROLE=APP_ROLE,
            READONLY_ROLE=READONLY_ROLE,
        )

    def _await_command(self, process: subprocess.Popen[bytes]) -> bytes:
        """Wait for a command and return its output. A stop request terminates it. Raises Exit if it
        fails; it has printed its error."""
        # The supervisor's SIGCHLD handler ends the wait when a process exits.
        while process.poll() is None and not self.stop.wait(TICK_SECONDS):
            pass
        if process.poll() is None:
            process.terminate()
        # The output fits into the pipe's buffer.
        output, _ = process.communicate()
        if process.returncode and not self.stop.is_requested:
            raise click.exceptions.Exit(1)
        return output or b""

    def _tick(self, supervisor: Supervisor, settings: Settings) -> None:
        if self._probe and self._probe.has_succeeded():
            self._probe = None
            text = READY_MESSAGE.format(
                base_url=_build_base_url(settings),
                dev_env=self.folder / DEV_ENV.name,
                currency=self._currency,
                source=local_stripe.SOURCE if self._local_stripe_port else "tok_visa",
            )
            click.secho(f"\n{text}\n", bold=True)
        if self._watcher and (changed := self._watcher.list_changed_files()):
            file_names = ", ".join(path.name for path in changed[:MAX_FILE_NAMES])
            supervisor.print_line("dev", f"changed: {file_names}; restarting")
            supervisor.restart_children(RELOADED_PROCESSES)


def _get_client_host(settings: Settings) -> str:
    """The address under which clients on this machine reach the API."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104


def _build_base_url(settings: Settings) -> str:
    host = _get_client_host(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
