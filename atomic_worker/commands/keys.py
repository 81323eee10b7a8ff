"""`atomic keys …`"""

from uuid import UUID

import click

from atomic_core.domain.merchants import ALL_SCOPES, ApiKey, sort_scopes
from atomic_worker.commands.console import Id, Toolbox, as_json, say_json, tools
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from atomic_worker.commands.tables import moment, table

merchant = click.option(
    "--merchant",
    "merchant_id",
    type=Id(),
    default=TEST_MERCHANT_ID,
    show_default="the Test Merchant",
    help="The merchant's id.",
)


@click.group()
def keys() -> None:
    """Issue, list and revoke API keys."""


@keys.command()
@click.option("--name", default="cli", show_default=True, help="To tell keys apart by.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sort_scopes(ALL_SCOPES)),
    help="What it may do; repeat it for more. Everything, if left out.",
)
@merchant
@as_json
@tools
def create(
    box: Toolbox, merchant_id: UUID, name: str, scopes: tuple[str, ...], *, as_json: bool
) -> None:
    """Issue a key. It is shown this once."""
    issued = box.application.api_keys.issue(merchant_id, name, frozenset(scopes) or ALL_SCOPES)
    if as_json:
        say_json({**_described(issued.key), "apiKey": issued.raw})
    else:
        click.echo(issued.raw)
        click.echo("The key above is shown only now. Its id, to revoke it by:", err=True)
        click.echo(issued.key.id, err=True)


@keys.command("list")
@merchant
@as_json
@tools
def list_(box: Toolbox, merchant_id: UUID, *, as_json: bool) -> None:
    """List a merchant's keys, oldest first."""
    found = box.application.api_keys.list(merchant_id)
    if as_json:
        say_json({"keys": [_described(key) for key in found]})
        return
    headings = ("ID", "Key", "Created", "State", "Last used", "Scopes", "Name")
    click.echo(table(headings, [_row(key) for key in found], right=()))


@keys.command()
@click.argument("key_id", type=Id("; `atomic keys list` has those of keys"))
@as_json
@tools
def revoke(box: Toolbox, key_id: UUID, *, as_json: bool) -> None:
    """Revoke a key, by its id: at once and for good."""
    key = box.application.api_keys.revoke(key_id)
    if as_json:
        say_json(_described(key))
    else:
        click.echo(f"Revoked {key.id}.")


def _row(key: ApiKey) -> tuple[object, ...]:
    return (
        key.id,
        f"{key.prefix}…" if key.prefix else "(adopted)",
        moment(key.created_at),
        _state(key),
        moment(key.last_used_at),
        "all" if key.scopes == ALL_SCOPES else " ".join(sort_scopes(key.scopes)),
        key.name,
    )


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {moment(key.revoked_at)}"
    if not key.active:
        return f"expired {moment(key.expires_at)}"
    return f"active until {moment(key.expires_at)}" if key.expires_at else "active"


def _described(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "merchantId": key.merchant_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sort_scopes(key.scopes),
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "lastUsedAt": key.last_used_at,
        "revokedAt": key.revoked_at,
    }
