"""`atomic keys …`"""

from typing import Any
from uuid import UUID

import click

from atomic_core.domain.merchants import ApiKey, in_order
from atomic_worker.console import Toolbox, as_json, say_json, tools
from atomic_worker.seed import TEST_MERCHANT_ID


class _Id(click.ParamType):
    """A UUID. What is none is not repeated, as click's own does: it may be a key."""

    name = "uuid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        try:
            return value if isinstance(value, UUID) else UUID(value)
        except ValueError:
            self.fail("Must be an id, a UUID; `atomic keys list` has those of keys.", param, ctx)


merchant = click.option(
    "--merchant",
    "merchant_id",
    type=_Id(),
    default=TEST_MERCHANT_ID,
    show_default="the Test Merchant",
    help="The merchant's id.",
)


@click.group()
def keys() -> None:
    """Issue, list and revoke API keys."""


@keys.command()
@click.option("--name", default="cli", show_default=True, help="To tell keys apart by.")
@merchant
@as_json
@tools
def create(box: Toolbox, merchant_id: UUID, name: str, *, as_json: bool) -> None:
    """Issue a key. It is shown this once."""
    issued = box.application.issue_key(merchant_id, name)
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
    found = box.application.list_keys(merchant_id)
    if as_json:
        say_json({"keys": [_described(key) for key in found]})
        return
    for key in found:
        state = _state(key)
        shown = f"{key.prefix}…" if key.prefix else "(adopted)"
        click.echo(
            f"{key.id}  {shown:<14}  {key.created_at:%Y-%m-%d %H:%M:%S}Z  {state}  {key.name}"
        )


@keys.command()
@click.argument("key_id", type=_Id())
@as_json
@tools
def revoke(box: Toolbox, key_id: UUID, *, as_json: bool) -> None:
    """Revoke a key, by its id: at once and for good."""
    key = box.application.revoke_key(key_id)
    if as_json:
        say_json(_described(key))
    else:
        click.echo(f"Revoked {key.id}.")


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M:%S}Z"
    return "active" if key.active else f"expired {key.expires_at:%Y-%m-%d %H:%M:%S}Z"


def _described(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "merchantId": key.merchant_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": in_order(key.scopes),
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "lastUsedAt": key.last_used_at,
        "revokedAt": key.revoked_at,
    }
