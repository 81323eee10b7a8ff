"""`atomic migrate …`"""

import click

from atomic_adapters.postgres.migrations import Migrator
from atomic_worker.commands.console import (
    CliContext,
    json_option,
    pass_cli_context,
    print_json,
    show_progress,
)


@click.group()
def migrate() -> None:
    """Apply and roll back database migrations."""


def _build_migrator(cli: CliContext) -> Migrator:
    return Migrator(cli.settings.database_url)


@migrate.command()
@json_option
@pass_cli_context
def up(cli: CliContext, *, as_json: bool) -> None:
    """Apply every pending migration. Safe to run concurrently."""
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
@json_option
@pass_cli_context
def down(cli: CliContext, *, as_json: bool) -> None:
    """Roll back the last applied migration."""
    with show_progress("Rolling back"):
        rolled_back = _build_migrator(cli).down()
    if as_json:
        print_json({"rolledBack": rolled_back})
    else:
        click.echo(f"rolled back {rolled_back}" if rolled_back else "Nothing to roll back.")


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
    click.echo(Migrator("").create(name))
