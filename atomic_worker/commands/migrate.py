"""`atomic migrate …`"""

import sys
from typing import TYPE_CHECKING

import click

from atomic_adapters.environ import DatabaseRoles
from atomic_worker.commands.console import (
    CliContext,
    json_option,
    pass_cli_context,
    print_json,
    show_progress,
)

if TYPE_CHECKING:
    from atomic_adapters.postgres.migrations import Migrator


@click.group()
def migrate() -> None:
    """Apply and roll back database migrations."""


def _import_migrator() -> "type[Migrator]":
    # yoyo takes a tenth of a second to import, and API, worker and sweeper do without it.
    from atomic_adapters.postgres.migrations import Migrator

    return Migrator


def _build_migrator(cli: CliContext, roles: DatabaseRoles | None = None) -> "Migrator":
    settings = cli.settings
    url = settings.migration_database_url or settings.with_direct_database().database_url
    return _import_migrator()(url, roles=roles or settings.database_roles)


@migrate.command()
@json_option
@pass_cli_context
def up(cli: CliContext, *, as_json: bool) -> None:
    """Apply every pending migration. Safe to run concurrently.

    Connects by MIGRATION_DATABASE_URL or DATABASE_DIRECT_URL, if one is set: not through a pooler
    in transaction mode. Gives the roles of `atomic grant`, if they exist, the privileges that the
    new schema requires.
    """
    with show_progress("Migrating"):
        applied = _build_migrator(cli).up()
    if as_json:
        print_json({"applied": list(applied)})
        return
    for id in applied:
        click.echo(f"applied {id}")
    if not applied:
        click.echo("Nothing to apply.")


@migrate.command()
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--in-production", is_flag=True, help="Roll back although ATOMIC_ENV is production.")
@json_option
@pass_cli_context
def down(cli: CliContext, *, yes: bool, in_production: bool, as_json: bool) -> None:
    """Roll back the last applied migration.

    Until `atomic migrate up`, the API of this version is not ready. A rollback drops tables and
    columns; it refuses to if they have data that the earlier schema cannot hold.
    """
    if cli.settings.is_production and not in_production:
        raise click.UsageError(
            "ATOMIC_ENV is production. Stop API, workers and sweepers, then add --in-production."
        )
    if not yes:
        _confirm_rollback(_build_migrator(cli).find_last())
    with show_progress("Rolling back"):
        rolled_back = _build_migrator(cli).down()
    if as_json:
        print_json({"rolledBack": rolled_back})
    else:
        click.echo(f"rolled back {rolled_back}" if rolled_back else "Nothing to roll back.")


def is_terminal() -> bool:
    """Whether a person can answer a question."""
    return sys.stdin.isatty()


def _confirm_rollback(id: str | None) -> None:
    if id is None:
        return
    if not is_terminal():
        raise click.UsageError(f"This rolls back {id}. Add --yes to confirm.")
    click.confirm(f"Roll back {id}?", abort=True, err=True)


@migrate.command()
@json_option
@pass_cli_context
def status(cli: CliContext, *, as_json: bool) -> None:
    """List the migrations. The exit status is 0 even if some are pending."""
    migrations = _build_migrator(cli).status()
    if as_json:
        print_json({"migrations": [migration._asdict() for migration in migrations]})
        return
    for migration in migrations:
        click.echo(f"{'applied' if migration.applied else 'pending'}  {migration.id}")


@migrate.command()
@click.argument("name")
def create(name: str) -> None:
    """Write an empty migration NAME and its rollback."""
    click.echo(_import_migrator()("").create(name))


@click.command()
@click.option("--app", metavar="ROLE", help="The role of the application. Default: APP_ROLE.")
@click.option("--readonly", metavar="ROLE", help="The read-only role. Default: READONLY_ROLE.")
@json_option
@pass_cli_context
def grant(cli: CliContext, *, app: str | None, readonly: str | None, as_json: bool) -> None:
    """Give the application's roles their privileges, and take all others. Safe to repeat.

    Run it as the owner of the tables (MIGRATION_DATABASE_URL), after `atomic migrate up`. A role
    that does not exist is created: with a login if APP_ROLE_PASSWORD or READONLY_ROLE_PASSWORD is
    set, else without one.
    """
    roles = cli.settings.database_roles
    roles = roles._replace(app=app or roles.app, readonly=readonly or roles.readonly)
    report = _build_migrator(cli, roles).grant()
    for warning in report.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if as_json:
        created = list(report.created)
        print_json({"app": roles.app, "readonly": roles.readonly, "created": created})
        return
    for role, purpose in ((roles.app, "application"), (roles.readonly, "read-only")):
        created_text = "created, " if role in report.created else ""
        click.echo(f"{created_text}granted  {role}  ({purpose})")
