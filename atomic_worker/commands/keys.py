"""`atomic keys …`"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import click

from atomic_core.domain.merchants import ALL_SCOPES, ApiKey, IssuedApiKey, sort_scopes
from atomic_core.domain.origins import Origin
from atomic_core.use_cases.api_keys import ApiKeyRotation
from atomic_worker.commands.console import (
    CliContext,
    UuidParam,
    json_option,
    operator_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.seed import TEST_MERCHANT_ID
from atomic_worker.commands.tables import format_time, render_table

MAX_OVERLAP_SECONDS: Final = 604_800
"""Seven days, as of the API."""

merchant_option = click.option(
    "--merchant",
    "merchant_id",
    type=UuidParam(),
    default=TEST_MERCHANT_ID,
    show_default="the Test Merchant",
    help="The merchant's id.",
)


@click.group()
def keys() -> None:
    """Issue, rotate, list and revoke API keys."""


@keys.command()
@click.option(
    "--expires",
    "expires_at",
    type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")),
    help="When the key stops to be valid, in UTC. Default: never.",
)
@click.option("--name", default="cli", show_default=True, help="A name to recognize the key by.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sort_scopes(ALL_SCOPES)),
    help="A permission of the key; repeat the option for more. Default: all.",
)
@merchant_option
@operator_option
@json_option
@pass_cli_context
def create(
    cli: CliContext,
    merchant_id: UUID,
    name: str,
    scopes: tuple[str, ...],
    origin: Origin,
    expires_at: datetime | None,
    *,
    as_json: bool,
) -> None:
    """Issue a key. It is printed only once. Audited."""
    issued = cli.application.api_keys.issue(
        merchant_id,
        name,
        frozenset(scopes) or ALL_SCOPES,
        origin,
        expires_at and expires_at.replace(tzinfo=UTC),
    )
    _print_issued_key(issued, as_json=as_json)


@keys.command()
@click.argument("key_id", type=UuidParam("; `atomic keys list` prints the ids of keys"))
@click.option(
    "--expires",
    "overlap_seconds",
    type=click.IntRange(0, MAX_OVERLAP_SECONDS),
    metavar="SECONDS",
    default=86_400,
    show_default=True,
    help="How long the old key is still valid; 0 ends it at once.",
)
@merchant_option
@operator_option
@json_option
@pass_cli_context
def rotate(
    cli: CliContext,
    key_id: UUID,
    overlap_seconds: int,
    merchant_id: UUID,
    origin: Origin,
    *,
    as_json: bool,
) -> None:
    """Replace a key by a new one with its name, scopes and expiry. Audited."""
    overlap = timedelta(seconds=overlap_seconds)
    rotation = ApiKeyRotation(merchant_id, key_id, overlap, origin)
    _print_issued_key(cli.application.api_keys.rotate(rotation), as_json=as_json)


@keys.command("list")
@merchant_option
@json_option
@pass_cli_context
def list_(cli: CliContext, merchant_id: UUID, *, as_json: bool) -> None:
    """List a merchant's keys, oldest first."""
    api_keys = cli.application.api_keys.list(merchant_id)
    if as_json:
        print_json({"keys": [_key_to_json(key) for key in api_keys]})
        return
    headings = ("ID", "Key", "Created", "State", "Last used", "Scopes", "Name")
    click.echo(render_table(headings, [_build_row(key) for key in api_keys], right=()))


@keys.command()
@click.argument("key_id", type=UuidParam("; `atomic keys list` prints the ids of keys"))
@operator_option
@json_option
@pass_cli_context
def revoke(cli: CliContext, key_id: UUID, origin: Origin, *, as_json: bool) -> None:
    """Revoke a key by its id, at once and permanently. Audited."""
    key = cli.application.api_keys.revoke(key_id, origin=origin)
    if as_json:
        print_json(_key_to_json(key))
    else:
        click.echo(f"Revoked {key.id}.")


def _print_issued_key(issued: IssuedApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json({**_key_to_json(issued.key), "apiKey": issued.raw, "rawKey": issued.raw})
        return
    click.echo(issued.raw)
    click.echo(
        "Store the key above: it cannot be printed again. Its id, for `atomic keys revoke`:",
        err=True,
    )
    click.echo(issued.key.id, err=True)


def _build_row(key: ApiKey) -> tuple[object, ...]:
    return (
        key.id,
        f"{key.prefix}…" if key.prefix else "(adopted)",
        format_time(key.created_at),
        _format_state(key),
        format_time(key.last_used_at),
        "all" if key.scopes == ALL_SCOPES else " ".join(sort_scopes(key.scopes)),
        key.name,
    )


def _format_state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {format_time(key.revoked_at)}"
    if not key.active:
        return f"expired {format_time(key.expires_at)}"
    return f"active until {format_time(key.expires_at)}" if key.expires_at else "active"


def _key_to_json(key: ApiKey) -> dict[str, object]:
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
