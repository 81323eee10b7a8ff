"""What the commands of `atomic` share: their context, options and output."""

import getpass
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import UUID, uuid4

import click
import structlog

from atomic_adapters.connection_urls import check_connection_urls
from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_core.domain.merchants import contains_secret
from atomic_core.domain.origins import ActorType, Origin

if TYPE_CHECKING:
    from atomic_adapters.wiring import ServerFacts
    from atomic_core.application import Application

SPINNER_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNER_SECONDS: Final = 0.1

C = TypeVar("C", bound=Callable[..., Any])

_log = structlog.get_logger(__name__)


def build_application(settings: Settings) -> "Application":
    # The wiring imports every use case and adapter; a command that builds no application does not.
    from atomic_adapters.wiring import build_application as build

    return build(settings)


def check_database_role(settings: Settings) -> str | None:
    """Return a warning, or raise SettingsError."""
    from atomic_adapters.wiring import check_database_role as check

    return check(settings)


def read_server_facts(settings: Settings) -> "ServerFacts":
    from atomic_adapters.wiring import read_server_facts as read

    return read(settings)


def check_sessions(settings: Settings) -> None:
    """Raise SettingsError unless a process that settles gets sessions of its own."""
    from atomic_adapters.wiring import check_sessions as check

    check(settings, "Worker and sweeper show by a lock of their session that they are alive")


@dataclass
class CliContext:
    """The settings and the application, built on first use: `--help` needs neither."""

    load_settings: Callable[[], Settings] = Settings.load
    build_application: "Callable[[Settings], Application]" = build_application
    read_server_facts: "Callable[[Settings], ServerFacts]" = read_server_facts

    @cached_property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        settings = self.load_settings()
        check_connection_urls(settings)
        return settings

    @cached_property
    def application(self) -> "Application":
        """For a command that ends: only critical messages are logged, because the command itself
        reports its errors."""
        configure_logging(self.settings)
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.CRITICAL)
        return self.build_application(self.settings.with_direct_database())

    def build_service_application(self) -> "Application":
        """For a long-running process that settles payments: it logs as configured, and first what
        the operator must know. Raises SettingsError if the card network or the role of the
        database must not be used, or the database's sessions are shared by a pooler."""
        self.settings.check_card_network()
        configure_logging(self.settings)
        settings = self.settings.with_direct_database()
        check_sessions(settings)
        warning = check_database_role(settings)
        for notice in (*settings.start_notices, *filter(None, [warning])):
            _log.warning(notice)
        return self.build_application(settings)


pass_cli_context = click.make_pass_decorator(CliContext, ensure=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class UuidParam(click.ParamType):
    """A UUID. Unlike click.UUID, its error does not repeat the value, which may be an API key."""

    name = "uuid"

    def __init__(self, hint: str = "") -> None:
        self.hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        try:
            return value if isinstance(value, UUID) else UUID(value)
        except ValueError:
            self.fail(f"Must be an id, a UUID{self.hint}.", param, ctx)


limit_option = click.option(
    "--limit",
    # Larger exports are read from the database.
    type=click.IntRange(1, 1_000),
    default=20,
    show_default=True,
    help="The maximum number of rows.",
)


after_option = click.option(
    "--after",
    type=UuidParam(),
    metavar="ID",
    help="Continue a list: the last id of the page before, which --json has as nextCursor.",
)


class _Listed(Protocol):
    @property
    def id(self) -> UUID: ...


def find_next_cursor(items: Sequence[_Listed], limit: int) -> UUID | None:
    """The value of --after for the next page; None if the page is not full, and so the last."""
    return items[-1].id if len(items) == limit else None


def print_next_page(cursor: UUID | None) -> None:
    """On stderr: the list itself stays the same on a terminal and in a pipe."""
    if cursor is not None:
        click.echo(f"The next page: --after {cursor}", err=True)


MAX_OPERATOR_LENGTH: Final = 100
"""Characters of an operator's name, which the audit log stores."""


def _read_system_user() -> str:
    """The name of the user that runs the command, or its number where it has no name, as in many
    containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class OperatorParam(click.ParamType):
    """The name of an operator, as an origin for the audit log."""

    name = "name"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Origin:
        if isinstance(value, Origin):
            return value
        is_valid = 1 <= len(value) <= MAX_OPERATOR_LENGTH and value.isprintable() and value.strip()
        if not is_valid or contains_secret(value):
            message = f"Must be 1 to {MAX_OPERATOR_LENGTH} printable characters, and no API key."
            self.fail(message, param, ctx)
        # Its own request id joins what one command writes in several places.
        return Origin(ActorType.OPERATOR, server_request_id=uuid4(), operator=value)


def build_operator_option(*names: str) -> Callable[[C], C]:
    """The option with these names, whose value is passed as `origin`."""
    return click.option(
        *names,
        "origin",
        metavar="NAME",
        type=OperatorParam(),
        default=_read_system_user,
        show_default="the system user",
        help="Your name, for the audit log, which the merchant can read.",
    )


operator_option = build_operator_option("--operator", "--as")

MAX_REASON: Final = 500
"""Characters, as for refunds."""


class ReasonParam(click.ParamType):
    """A text for the audit log."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not 1 <= len(value) <= MAX_REASON or not value.isprintable() or contains_secret(value):
            message = f"Must be 1 to {MAX_REASON} printable characters, and no API key."
            self.fail(message, param, ctx)
        return value


class ListByDefaultGroup(click.Group):
    """Runs `list` when no subcommand is given: `atomic merchants --limit 3`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def print_json(document: Mapping[str, object]) -> None:
    click.echo(dump_json(document))


def dump_json(document: Mapping[str, object]) -> str:
    return json.dumps(document, default=_to_json_value)


def _to_json_value(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()  # type: ignore[attr-defined]
    raise TypeError(type(value).__name__)


@contextmanager
def show_progress(activity: str) -> Iterator[None]:
    """Show a spinner while the block runs, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    is_done = threading.Event()

    def spin() -> None:
        tick = 0
        while not is_done.wait(SPINNER_SECONDS):
            seconds = tick * SPINNER_SECONDS
            frame = SPINNER_FRAMES[tick % len(SPINNER_FRAMES)]
            click.echo(f"\r{frame} {activity} … {seconds:.0f} s", err=True, nl=False)
            tick += 1
        click.echo("\r\x1b[K", err=True, nl=False)

    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    try:
        yield
    finally:
        is_done.set()
        spinner.join()
