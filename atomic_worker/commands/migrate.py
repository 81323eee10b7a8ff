"""`atomic migrate …`"""

import click

from atomic_adapters.postgres.migrations import Migrator
from atomic_worker.commands.console import Toolbox, as_json, progress, say_json, tools


@click.group()
def migrate() -> None:
    """Bring the database's schema up to date, or back."""


def _migrator(box: Toolbox) -> Migrator:
    return Migrator(box.settings.database_url)


@migrate.command()
@as_json
@tools
def up(box: Toolbox, *, as_json: bool) -> None:
    """Apply every pending migration. Safe to run twice at once."""
    with progress("Migrating"):
        applied = _migrator(box).up()
    if as_json:
        say_json({"applied": list(applied)})
        return
    for id in applied:
        click.echo(f"applied {id}")
    if not applied:
        click.echo("Nothing to apply.")


@migrate.command()
@as_json
@tools
def down(box: Toolbox, *, as_json: bool) -> None:
    """Roll back the last applied migration."""
    with progress("Rolling back"):
        rolled_back = _migrator(box).down()
    if as_json:
        say_json({"rolledBack": rolled_back})
    else:
        click.echo(f"rolled back {rolled_back}" if rolled_back else "Nothing to roll back.")


@migrate.command()
@as_json
@tools
def status(box: Toolbox, *, as_json: bool) -> None:
    """List the migrations. Status 0 also when some are pending."""
    known = _migrator(box).status()
    if as_json:
        say_json({"migrations": [migration._asdict() for migration in known]})
        return
    for migration in known:
        click.echo(f"{'applied' if migration.applied else 'pending'}  {migration.id}")


@migrate.command()
@click.argument("name")
def create(name: str) -> None:
    """Write an empty migration NAME and its rollback."""
    click.echo(Migrator("").create(name))
