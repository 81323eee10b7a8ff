"""The `atomic` command.

Each command imports what it alone needs: most of the time that a process takes to start is spent on
imports.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click
import structlog

from atomic_adapters.logs import configure_logging
from atomic_core.ports.job_queue import Job
from atomic_worker.commands.console import (
    CliContext,
    check_database_role,
    check_sessions,
    json_option,
    pass_cli_context,
    print_json,
    show_progress,
)
from atomic_worker.commands.lazy_group import LazyGroup
from atomic_worker.dev.checks import check_port_is_free
from atomic_worker.stop_request import StopRequest

if TYPE_CHECKING:
    from atomic_adapters.settings import Settings
    from atomic_core.application import Application

_GROUPS: Final = {
    **{
        name: f"atomic_worker.commands.{name}"
        for name in ("accounts", "currencies", "disputes", "events", "fees", "keys", "merchants")
    },
    "completion": "atomic_worker.commands.completion",
    "dev": "atomic_worker.dev.runner",
    "doctor": "atomic_worker.commands.doctor",
    "grant": "atomic_worker.commands.migrate",
    "ledger": "atomic_worker.commands.ledger",
    "migrate": "atomic_worker.commands.migrate",
    "payments": "atomic_worker.commands.payments",
    "reconcile": "atomic_worker.commands.reconcile",
    "trial-balance": "atomic_worker.commands.trial_balance",
    "refunds": "atomic_worker.commands.refunds",
    "status": "atomic_worker.commands.status",
    "webhooks": "atomic_worker.commands.webhooks",
}
"""The modules of the commands that are not defined here."""

_log = structlog.get_logger(__name__)


@click.group(
    cls=LazyGroup, modules=_GROUPS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="atomic", prog_name="atomic")
def main() -> None:
    """Atomic, a payment gateway on a double-entry ledger.

    Configured by environment variables and .env; .env.example lists all of them.
    Exit status: 0 success, 1 failure, 2 wrong usage.
    """


@main.command()
@pass_cli_context
def serve(cli: CliContext) -> None:
    """Serve the API with gunicorn, until SIGTERM."""
    # Read here for a clear error message; gunicorn reads the settings again.
    settings = cli.settings
    settings.check_card_network()
    # gunicorn would retry forever, or silently share the port with another server.
    check_port_is_free(settings.host, settings.port)
    if settings.metrics_port is not None:
        check_port_is_free(settings.host, settings.metrics_port, "METRICS_PORT")
    configure_logging(settings)
    check_pooler(settings)
    if warning := check_database_role(settings):
        _log.warning(warning)
    if settings.networks.has_stripe and not settings.networks.has_stripe_events:
        _log.warning("events of Stripe are not received: STRIPE_WEBHOOK_SECRET is not set")
    _log.info("serving", host=settings.host, port=settings.port, workers=settings.web_workers)
    arguments = ["-c", "python:atomic_web.server.gunicorn_conf", "atomic_web.wsgi:app"]
    # Replaces this process, so that signals reach gunicorn and the CLI does not import the web
    # layer.
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *arguments])  # noqa: S606


def check_pooler(settings: "Settings") -> None:
    """Raise SettingsError if DATABASE_POOLER does not name a pooler that is there."""
    from atomic_adapters.wiring import check_pooler as check

    check(settings)


QUEUES = {"settle": Job.SETTLE, "webhooks": Job.DELIVER}


class QueuesParam(click.ParamType):
    """Names of queues, separated by commas."""

    name = "queues"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[Job]:
        if isinstance(value, frozenset):
            return value
        names = {part.strip() for part in value.split(",")}
        if not names <= QUEUES.keys():
            self.fail(f"Must be one or both of {', '.join(QUEUES)}.", param, ctx)
        return frozenset(QUEUES[name] for name in names)


@main.command()
@click.option(
    "--queues",
    type=QueuesParam(),
    default="settle,webhooks",
    show_default=True,
    help="The work to do. With both, webhooks are delivered by a second process.",
)
@pass_cli_context
@click.pass_context
def worker(ctx: click.Context, cli: CliContext, *, queues: frozenset[Job]) -> None:
    """Settle payments and deliver webhooks when wake-ups arrive, until SIGTERM.

    Finishes the current batch before it stops. Exits with status 1 when Redis is unreachable, to
    be restarted by its supervisor, and waits while Redis is full; until then the sweeper does its
    work.
    """
    from atomic_worker.settlement.pause import wait_while_off
    from atomic_worker.webhooks.companion import run_companion

    application = cli.build_service_application()
    if not cli.settings.settles:
        with StopRequest.on_signals() as stop:
            wait_while_off("worker", stop)
        return
    job = Job.SETTLE if Job.SETTLE in queues else Job.DELIVER
    if len(queues) > 1 and cli.settings.webhooks.encryption_keys:
        with run_companion() as stop_companion:
            has_stopped_as_requested = _run_worker(cli.settings, application, job, stop_companion)
    else:
        has_stopped_as_requested = _run_worker(cli.settings, application, job)
    ctx.exit(0 if has_stopped_as_requested else 1)


def _run_worker(
    settings: "Settings",
    application: "Application",
    job: Job,
    on_stop_request: "Callable[[], None]" = lambda: None,
) -> bool:
    """With the metrics of the process; return whether it has stopped as requested."""
    from atomic_worker.process_metrics import start_metrics
    from atomic_worker.settlement_worker import run_worker

    if job is Job.SETTLE:
        port = settings.settlement_metrics_port
        observers = start_metrics(settings.host, port, application, settles=True)
    else:
        port = settings.worker_metrics_port
        observers = start_metrics(settings.host, port, application, delivers=True)
    return run_worker(
        settings, application, job, on_stop_request, observers.on_round, observers.on_batch
    )


@main.command()
@click.option("--once", is_flag=True, help="Sweep once, then exit.")
@json_option
@pass_cli_context
def sweep(cli: CliContext, *, once: bool, as_json: bool) -> None:
    """Settle overdue payments, purge expired rows, verify the ledger; until SIGTERM.

    Needs PostgreSQL only.
    """
    from atomic_worker.process_metrics import start_metrics
    from atomic_worker.settlement.pause import require_settlement, wait_while_off
    from atomic_worker.settlement.sweeper import Sweeper

    with StopRequest.on_signals() as stop:
        if not once:
            application, settings = cli.build_service_application(), cli.settings
            if not settings.settles:
                wait_while_off("sweeper", stop)
                return
            observers = start_metrics(
                settings.host,
                settings.sweeper_metrics_port,
                application,
                settles=True,
                delivers=True,
                verifies=True,
            )
            Sweeper(
                application,
                settings,
                stop,
                observers.on_round,
                observers.on_batch,
                observers.on_ledger_check,
            ).run()
            return
        settings = cli.settings.with_direct_database()
        require_settlement(settings)
        settings.check_card_network()
        check_sessions(settings)
        if warning := check_database_role(settings):
            click.echo(f"Warning: {warning}", err=True)
        sweeper = Sweeper(cli.application, cli.settings, stop)
        claimed, purged = sweeper.sweep(), sweeper.purge()
        sweeper.take_snapshots()
    if as_json:
        print_json({"claimed": claimed, "purged": purged})
    else:
        click.echo(f"{claimed} overdue payments claimed.")
        click.echo(f"{purged} expired idempotency keys purged.")


@main.command()
@json_option
@click.option(
    "--ensure-key",
    metavar="NAME",
    help="Always print a key: the one in API_KEY if it is valid, else a new one.",
)
@click.option("--known-key", envvar="API_KEY", hidden=True)
@pass_cli_context
def seed(cli: CliContext, *, as_json: bool, ensure_key: str | None, known_key: str | None) -> None:
    """Create the World accounts and the Test Merchant, its account and key. Safe to repeat."""
    from atomic_worker.commands.seed import seed as seed_database

    result = seed_database(cli.application, cli.settings, ensure_key, known_key)
    if not result.is_configured_key_active:
        click.echo(
            "Warning: MERCHANT_API_KEY_HASH is the hash of a revoked key, or of another merchant's:"
            " set the hash of a new key.",
            err=True,
        )
    if as_json:
        ids = {"merchantId": result.merchant_id, "accountId": result.account_id}
        print_json({**ids, "currency": result.currency, "apiKey": result.api_key})
        return
    click.echo(f"Merchant  {result.merchant_id}")
    click.echo(f"Account   {result.account_id}  {result.currency}")
    if result.api_key:
        click.echo(f"API key   {result.api_key}  (store it: it cannot be printed again)")
    else:
        click.echo("API key   unchanged; `atomic keys list` lists the keys")


@main.command()
@json_option
@pass_cli_context
@click.pass_context
def verify(ctx: click.Context, cli: CliContext, *, as_json: bool) -> None:
    """Recompute the ledger from its entries. The exit status is 1 if the books do not agree."""
    application = cli.application
    with show_progress("Verifying the ledger"):
        report = application.ledger.verify()
    counts = {
        "accounts": report.accounts,
        "transactions": report.transactions,
        "entries": report.entries,
        "payments": report.payments,
        "refunds": report.refunds,
        "holds": report.holds,
    }
    if as_json:
        findings = [finding._asdict() for finding in report.findings]
        print_json({"clean": report.is_clean, **counts, "findings": findings})
    else:
        for finding in report.findings:
            click.echo(f"{finding.check}  {finding.subject}  {finding.problem}")
        verdict = "The books agree" if report.is_clean else "The books do NOT agree"
        summary = ", ".join(f"{count} {name}" for name, count in counts.items())
        click.echo(f"{verdict}: {summary}.")
    ctx.exit(0 if report.is_clean else 1)
