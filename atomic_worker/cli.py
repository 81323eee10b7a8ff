"""The `atomic` command."""

import os
import sys

import click
import structlog

from atomic_adapters.logs import configure_logging
from atomic_worker.commands.accounts import accounts
from atomic_worker.commands.console import Commands, Toolbox, as_json, progress, say_json, tools
from atomic_worker.commands.currencies import currencies
from atomic_worker.commands.fees import fees
from atomic_worker.commands.keys import keys
from atomic_worker.commands.merchants import merchants
from atomic_worker.commands.migrate import migrate
from atomic_worker.commands.payments import payments
from atomic_worker.commands.seed import seed as plant
from atomic_worker.dev.checks import check_port_is_free
from atomic_worker.dev.runner import dev
from atomic_worker.settlement.sweeper import Sweeper
from atomic_worker.settlement_worker import run_worker
from atomic_worker.stop_request import StopRequest

_log = structlog.get_logger(__name__)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="atomic", prog_name="atomic")
def main() -> None:
    """Atomic, a payment gateway on a double-entry ledger.

    Configured by environment variables, all of them in .env.example; .env is read too.
    Exit status: 0 done, 1 it failed, 2 wrong usage.
    """


@main.command()
@tools
def serve(box: Toolbox) -> None:
    """Serve the API with gunicorn, until SIGTERM."""
    # Read here for the sake of a clear message; gunicorn reads them again.
    settings = box.settings
    # gunicorn would try for ever, or share the port with another server without a word.
    check_port_is_free(settings.host, settings.port)
    configure_logging(settings)
    _log.info("serving", host=settings.host, port=settings.port, workers=settings.web_workers)
    arguments = ["-c", "python:atomic_web.server.gunicorn_conf", "atomic_web.wsgi:app"]
    # In our place, so that signals reach gunicorn and the two doors stay strangers.
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *arguments])  # noqa: S606


@main.command()
@tools
@click.pass_context
def worker(ctx: click.Context, box: Toolbox) -> None:
    """Settle payments as they are announced, until SIGTERM.

    Finishes the batch in hand first. Leaves with status 1 when Redis is away, to be started
    again by what runs it; meanwhile the sweeper settles.
    """
    ctx.exit(0 if run_worker(box.settings, box.service()) else 1)


@main.command()
@click.option("--once", is_flag=True, help="One round, then leave.")
@as_json
@tools
def sweep(box: Toolbox, *, once: bool, as_json: bool) -> None:
    """Settle what no bell announced, purge, check the books; until SIGTERM.

    Needs PostgreSQL only.
    """
    with StopRequest.on_signals() as stop:
        if not once:
            Sweeper(box.service(), box.settings, stop).run()
            return
        sweeper = Sweeper(box.application, box.settings, stop)
        claimed, purged = sweeper.sweep(), sweeper.purge()
    if as_json:
        say_json({"claimed": claimed, "purged": purged})
    else:
        click.echo(f"{claimed} overdue payments taken up.")
        click.echo(f"{purged} expired idempotency keys purged.")


@main.command()
@as_json
@click.option(
    "--ensure-key",
    metavar="NAME",
    help="Give a key in any case: the one in API_KEY if it is valid, else a new one.",
)
@click.option("--known-key", envvar="API_KEY", hidden=True)
@tools
def seed(box: Toolbox, *, as_json: bool, ensure_key: str | None, known_key: str | None) -> None:
    """Make the World accounts and the Test Merchant, its account and key. Safe to repeat."""
    seeded = plant(box.application, box.settings, ensure_key, known_key)
    if as_json:
        answer = {"merchantId": seeded.merchant_id, "accountId": seeded.account_id}
        say_json({**answer, "currency": seeded.currency, "apiKey": seeded.api_key})
        return
    click.echo(f"Merchant  {seeded.merchant_id}")
    click.echo(f"Account   {seeded.account_id}  {seeded.currency}")
    if seeded.api_key:
        click.echo(f"API key   {seeded.api_key}  (note it: it is not shown again)")
    else:
        click.echo("API key   as it was; `atomic keys list` shows which there are")


@main.command()
@as_json
@tools
@click.pass_context
def verify(ctx: click.Context, box: Toolbox, *, as_json: bool) -> None:
    """Recompute the books from their entries. Status 1 if they do not agree."""
    application = box.application
    with progress("Checking the books"):
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
        say_json({"clean": report.is_clean, **counts, "findings": findings})
    else:
        for finding in report.findings:
            click.echo(f"{finding.check}  {finding.subject}  {finding.problem}")
        verdict = "The books agree" if report.is_clean else "The books do NOT agree"
        counted = ", ".join(f"{count} {name}" for name, count in counts.items())
        click.echo(f"{verdict}: {counted}.")
    ctx.exit(0 if report.is_clean else 1)


for command in (accounts, currencies, dev, fees, keys, merchants, migrate, payments):
    main.add_command(command)
