"""`atomic doctor`."""

from collections.abc import Sequence
from importlib.metadata import version

import click

from atomic_core.domain.backlog import Backlog
from atomic_core.domain.diagnosis import Check, CheckState, SystemFacts, diagnose
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.timestamps import format_rfc3339
from atomic_worker.commands.console import (
    CliContext,
    json_option,
    pass_cli_context,
    print_json,
    show_progress,
)

MARKS = {
    CheckState.OK: "ok",
    CheckState.WARNING: "WARNING",
    CheckState.FAILED: "FAILED",
    CheckState.UNKNOWN: "unknown",
}


@click.command()
@json_option
@pass_cli_context
@click.pass_context
def doctor(ctx: click.Context, cli: CliContext, *, as_json: bool) -> None:
    """Check servers, schema, privileges and processes, and say what to do.

    Changes nothing. The exit status is 1 if a check fails; warnings do not count.
    """
    with show_progress("Checking"):
        checks = diagnose(_read_facts(cli))
    has_failed = any(check.state is CheckState.FAILED for check in checks)
    if as_json:
        print_json(
            {
                "version": version("atomic"),
                "at": format_rfc3339(cli.application.clock.now()),
                "healthy": not has_failed,
                "checks": [check._asdict() for check in checks],
            }
        )
    else:
        _print_checks(checks)
    ctx.exit(1 if has_failed else 0)


def _read_facts(cli: CliContext) -> SystemFacts:
    settings, application = cli.settings, cli.application
    database, redis = cli.read_server_facts(settings)
    return SystemFacts(
        application.clock.now(),
        database,
        redis,
        None if isinstance(database, str) else _measure_backlog(cli),
        settings.is_production,
        settings.ledger_check_interval,
        bool(settings.webhooks.encryption_keys),
    )


def _measure_backlog(cli: CliContext) -> Backlog | None:
    """None if the schema or the privileges do not let it be read, which are checks of their own."""
    try:
        return cli.application.maintenance.measure_backlog()
    except AtomicError:
        return None


def _print_checks(checks: Sequence[Check]) -> None:
    click.echo(f"Atomic {version('atomic')}")
    width = max(len(check.name) for check in checks)
    for check in checks:
        click.echo(f"{check.name:<{width}}  {MARKS[check.state]:<7}  {check.found}")
        if check.advice:
            click.echo(f"{'':<{width}}  {'':<7}  {check.advice}")
