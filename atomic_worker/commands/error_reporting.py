"""How commands report expected errors: in one line, or as JSON."""

import fcntl
import json
import re
from typing import IO, Any, Final

import click
from redis import RedisError

from atomic_adapters.embedded import EmbeddedServerError
from atomic_adapters.environ import SettingsError
from atomic_adapters.settings import DEV_ENV
from atomic_core.domain.errors import (
    AtomicError,
    SchemaOutdated,
    StorageUnavailable,
    ValidationFailed,
)
from atomic_worker.commands.console import CliContext, ListByDefaultGroup


class JsonError(click.ClickException):
    """An error as JSON on stderr."""

    fallback_code = "failed"
    """The code of errors that are no AtomicError."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(error.format_message())
        cause = error.__cause__
        self.code = cause.code if isinstance(cause, AtomicError) else self.fallback_code

    def show(self, file: IO[Any] | None = None) -> None:
        error = {"code": self.code, "message": self.format_message()}
        click.echo(json.dumps({"error": error}), file=file, err=True)


class JsonUsageError(JsonError):
    exit_code = click.UsageError.exit_code
    fallback_code = "wrong_usage"


class WrongOption(click.ClickException):
    """An option has a wrong value, which the core has found."""

    exit_code = click.UsageError.exit_code


class ErrorReportingGroup(click.Group):
    """Reports expected errors on stderr: in one line, or as JSON with `--json`. Exits with status
    1, or 2 if an option has a wrong value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if "--json" in ctx.meta[_ARGUMENTS]:
                is_usage = error.exit_code == click.UsageError.exit_code
                raise (JsonUsageError if is_usage else JsonError)(error) from error
            raise

    def _invoke(self, ctx: click.Context) -> Any:
        cli = ctx.ensure_object(CliContext)
        try:
            return super().invoke(ctx)
        except ValidationFailed as error:
            raise _build_usage_error(error, ctx) from error
        except (SettingsError, EmbeddedServerError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            # A file or folder that cannot be used; without one, it is not an expected error.
            if error.filename is None:
                raise
            raise click.ClickException(
                f"{error.filename} cannot be used: {error.strerror}."
            ) from error
        except RedisError as error:
            hint = _explain_stopped_servers(cli)
            raise click.ClickException(f"Redis is unreachable: {error}{hint}") from error
        except SchemaOutdated as error:
            raise click.ClickException(f"{error.message} Run: atomic migrate up") from error
        except StorageUnavailable as error:
            message = _format_error(error) + _explain_stopped_servers(cli)
            raise click.ClickException(message) from error
        except AtomicError as error:
            raise click.ClickException(_format_error(error)) from error


_ARGUMENTS: Final = "atomic.arguments"


def _build_usage_error(error: ValidationFailed, ctx: click.Context) -> click.ClickException:
    """With the option of each wrong value, as the user wrote it."""
    command = _find_command(ctx)
    options = {
        param.name: max(param.opts, key=len)
        for param in command.params
        if isinstance(param, click.Option)
    }
    problems = [
        f"{options.get(_to_parameter_name(field), field)}: {' '.join(texts)}"
        for field, texts in (error.details or {}).items()
    ]
    return WrongOption("; ".join(problems) or error.message)


def _to_parameter_name(field: str) -> str:
    """Such as `basis_points` for basisPoints."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", field)


def _find_command(ctx: click.Context) -> click.Command:
    """The command that the arguments name."""
    command = ctx.command
    for argument in ctx.meta[_ARGUMENTS]:
        if isinstance(command, click.Group):
            command = command.get_command(ctx, argument) or command
    if isinstance(command, ListByDefaultGroup):
        return command.get_command(ctx, "list") or command
    return command


def _explain_stopped_servers(cli: CliContext) -> str:
    """A sentence for an unreachable server of an `atomic dev` that is not running."""
    if not cli.settings.uses_dev_servers or _is_dev_running():
        return ""
    return " `make run` is not running here."


def _is_dev_running() -> bool:
    """Whether a process holds the lock of `atomic dev` in this folder."""
    try:
        with (DEV_ENV.parent / "dev.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _format_error(error: AtomicError) -> str:
    """With the first line of the cause, which operators may see and API clients may not."""
    if error.details:
        return "; ".join(
            f"{name}: {' '.join(problems)}" for name, problems in error.details.items()
        )
    cause = str(error.__cause__ or "").strip()
    first_line = cause.splitlines()[0] if cause else ""
    # The message of StorageRefused contains its cause.
    if not first_line or first_line in error.message:
        return error.message
    return f"{error.message} ({first_line})"
