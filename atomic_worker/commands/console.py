"""What every command of `atomic` shares: what it works with, and how it talks."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import click
from redis import RedisError

from atomic_adapters.embedded import EmbeddedServerError
from atomic_adapters.environ import SettingsError
from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError, SchemaOutdated

SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNER_SECONDS: Final = 0.1


@dataclass
class Toolbox:
    """Settings and application, made when a command first asks: `--help` needs neither."""

    load: Callable[[], Settings] = Settings.load
    build: Callable[[Settings], Application] = build_application

    @cached_property
    def settings(self) -> Settings:
        return self.load()

    @cached_property
    def application(self) -> Application:
        """For a command that somebody waits for: what goes wrong is said once, by the command,
        and not by the libraries' loggers as well."""
        configure_logging(self.settings)
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.CRITICAL)
        return self.build(self.settings)

    def service(self) -> Application:
        """For a process that runs on: it logs as configured."""
        configure_logging(self.settings)
        return self.build(self.settings)


tools = click.make_pass_decorator(Toolbox, ensure=True)

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for scripts.")


class Id(click.ParamType):
    """A UUID. What is none is not repeated, as click's own does: it may be a key."""

    name = "uuid"

    def __init__(self, hint: str = "") -> None:
        self.hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        try:
            return value if isinstance(value, UUID) else UUID(value)
        except ValueError:
            self.fail(f"Must be an id, a UUID{self.hint}.", param, ctx)


limit = click.option(
    "--limit",
    # More is for scripts, and those ask the database.
    type=click.IntRange(1, 1_000),
    default=20,
    show_default=True,
    help="How many at most.",
)


class Listing(click.Group):
    """Lists when it is not told what else to do: `atomic merchants --limit 3`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


class Commands(click.Group):
    """Tells expected faults in one line on stderr and exits with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsError, EmbeddedServerError) as error:
            raise click.ClickException(str(error)) from error
        except RedisError as error:
            raise click.ClickException(f"Redis cannot be reached: {error}") from error
        except SchemaOutdated as error:
            raise click.ClickException(f"{error.message} Run: atomic migrate up") from error
        except AtomicError as error:
            raise click.ClickException(_told(error)) from error


def _told(error: AtomicError) -> str:
    """An operator may see the cause, which a caller of the API never does."""
    if error.details:
        return "; ".join(f"{name}: {' '.join(faults)}" for name, faults in error.details.items())
    cause = str(error.__cause__ or "").strip()
    first = cause.splitlines()[0] if cause else ""
    # A refusal's message has its cause in it already.
    return f"{error.message} ({first})" if first and first not in error.message else error.message


def say_json(answer: Mapping[str, object]) -> None:
    click.echo(json.dumps(answer, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()  # type: ignore[attr-defined]
    raise TypeError(type(value).__name__)


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Show on a terminal that something takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def spin() -> None:
        turn = 0
        while not done.wait(SPINNER_SECONDS):
            seconds = turn * SPINNER_SECONDS
            sign = SPINNER[turn % len(SPINNER)]
            click.echo(f"\r{sign} {doing} … {seconds:.0f} s", err=True, nl=False)
            turn += 1
        click.echo("\r\x1b[K", err=True, nl=False)

    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    try:
        yield
    finally:
        done.set()
        spinner.join()
