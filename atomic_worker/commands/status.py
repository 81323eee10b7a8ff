"""`atomic status`."""

from importlib.metadata import version

import click

from atomic_core.domain.timestamps import format_rfc3339
from atomic_worker.commands.console import CliContext, json_option, pass_cli_context, print_json
from atomic_worker.commands.tables import render_fields


@click.command()
@json_option
@pass_cli_context
@click.pass_context
def status(ctx: click.Context, cli: CliContext, *, as_json: bool) -> None:
    """Show on one page how the system is: version, schema, dependencies, backlog.

    The exit status is 1 unless the API is ready and payments are being settled.
    """
    application = cli.application
    health = application.maintenance.check_health()
    is_well = health.is_ready and not health.is_degraded
    checks = {name: "up" if is_up else "down" for name, is_up in health.checks.items()}
    backlog, pending = health.backlog, list(health.pending_migrations)
    unresolved = (
        sum(total.steps for total in application.admin.sum_unresolved()) if health.is_ready else 0
    )
    state = "ready" if is_well else "degraded" if health.is_ready else "not ready"
    oldest = int(backlog.oldest_age.total_seconds())
    if as_json:
        print_json(
            {
                "version": version("atomic"),
                "environment": cli.settings.environment,
                "at": format_rfc3339(application.clock.now()),
                "status": state,
                "checks": checks,
                "pendingMigrations": pending,
                "backlog": {"due": backlog.due, "oldestAgeSeconds": oldest},
                "unresolvedSteps": unresolved,
            }
        )
        ctx.exit(0 if is_well else 1)
    schema = f"pending: {', '.join(pending)}; run: atomic migrate up" if pending else "up to date"
    waiting = f"{backlog.due} due, the oldest for {oldest} s" if backlog.due else "none"
    if backlog.is_stalled:
        waiting += "; no worker or sweeper claims them"
    click.echo(
        render_fields(
            [
                ("Atomic", f"{version('atomic')}, {cli.settings.environment}"),
                ("Status", state),
                *checks.items(),
                ("Schema", schema if health.is_ready or pending else "unknown"),
                ("Backlog", waiting if health.is_ready else "unknown"),
                ("In doubt", f"{unresolved} steps" if health.is_ready else "unknown"),
            ]
        )
    )
    ctx.exit(0 if is_well else 1)
