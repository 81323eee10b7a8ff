"""`atomic merchants …`"""

import secrets
from typing import Final
from uuid import UUID

import click

from atomic_core.domain.credentials import normalize_email
from atomic_core.domain.merchants import Merchant
from atomic_core.domain.origins import Origin
from atomic_core.use_cases.registration import MerchantRegistration
from atomic_worker.commands import accounts, fees
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    ReasonParam,
    UuidParam,
    after_option,
    find_next_cursor,
    json_option,
    limit_option,
    operator_option,
    pass_cli_context,
    print_json,
    print_next_page,
)
from atomic_worker.commands.tables import format_time, render_fields, render_table

MAX_ACCOUNTS: Final = 100
"""Accounts that `show` prints; `atomic accounts --merchant` lists more."""

MAX_NAME: Final = 100
"""Characters, as in POST /merchants/register."""

PASSWORD_BYTES: Final = 18
"""Random bytes of a generated password: 144 bits in 24 characters."""

DEFAULT: Final = "default"
"""The name, for this command, of the card network of the deployment."""


reason_option = click.option(
    "--reason", type=ReasonParam(), help="Why, for the audit log, which the merchant can read."
)


@click.group(cls=ListByDefaultGroup)
def merchants() -> None:
    """List, show, create, suspend and resume merchants; choose their card networks."""


@merchants.command("list")
@after_option
@limit_option
@json_option
@pass_cli_context
def list_(cli: CliContext, after: UUID | None, limit: int, *, as_json: bool) -> None:
    """List merchants, newest first."""
    merchants = cli.application.admin.list_merchants(limit, after)
    next_cursor = find_next_cursor(merchants, limit)
    if as_json:
        items = [_merchant_to_json(merchant) for merchant in merchants]
        print_json({"merchants": items, "nextCursor": next_cursor})
        return
    rows = [
        (
            merchant.id,
            format_time(merchant.created_at),
            "suspended" if merchant.suspended_at else "active",
            merchant.name,
        )
        for merchant in merchants
    ]
    click.echo(render_table(("ID", "Since", "State", "Name"), rows, right=()))
    print_next_page(next_cursor)


@merchants.command()
@click.argument("merchant_id", type=UuidParam(), metavar="ID")
@json_option
@pass_cli_context
def show(cli: CliContext, merchant_id: UUID, *, as_json: bool) -> None:
    """Show a merchant with its accounts and fees. `atomic keys list` lists its keys."""
    details = cli.application.admin.get_merchant(merchant_id, MAX_ACCOUNTS)
    active = sum(key.active for key in details.keys)
    if as_json:
        members = {
            "accounts": [accounts.account_to_json(account) for account in details.accounts],
            "fees": [fees.fee_to_json(schedule) for schedule in details.fees],
            "keys": {"active": active, "all": len(details.keys)},
        }
        print_json({**_merchant_to_json(details.merchant), **members})
        return
    fields = [
        ("Merchant", details.merchant.id),
        ("Name", details.merchant.name),
        ("Since", format_time(details.merchant.created_at)),
        ("State", _format_state(details.merchant)),
        ("Network", details.merchant.network or DEFAULT),
        ("Keys", f"{active} active of {len(details.keys)}"),
    ]
    click.echo(render_fields(fields))
    if details.accounts:
        click.echo(f"\nAccounts\n{accounts.render_accounts(details.accounts)}")
    if details.fees:
        click.echo(f"\nFees\n{fees.render_fees(details.fees)}")


@merchants.command()
@click.option("--name", required=True, help="The name of the shop.")
@click.option("--email", required=True, help="The email that its owner logs in with.")
@operator_option
@json_option
@pass_cli_context
def create(cli: CliContext, name: str, email: str, origin: Origin, *, as_json: bool) -> None:
    """Register a merchant. Prints its password once; the owner should change it after the login."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or not name.strip():
        message = f"Must be 1 to {MAX_NAME} printable characters."
        raise click.BadParameter(message, param_hint="name")
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    registration = MerchantRegistration(
        normalize_email(email), password, name, cli.settings.default_currency, origin
    )
    credentials = cli.application.merchants.register.for_operator(registration)
    if as_json:
        ids = {"id": credentials.merchant_id, "accountId": credentials.account_id}
        print_json({**ids, "email": credentials.email, "password": password})
        return
    click.echo(f"Merchant  {credentials.merchant_id}")
    click.echo(f"Email     {credentials.email}")
    click.echo(f"Password  {password}  (it cannot be printed again)")


@merchants.command()
@click.argument("merchant_id", type=UuidParam(), metavar="ID")
@reason_option
@operator_option
@json_option
@pass_cli_context
def suspend(
    cli: CliContext, merchant_id: UUID, reason: str | None, origin: Origin, *, as_json: bool
) -> None:
    """Stop a merchant's API keys and end its sessions, at once.

    Payments that are accepted already are still settled. `atomic merchants resume` undoes it,
    except that sessions stay ended. Safe to repeat.
    """
    merchant = cli.application.merchants.suspend(merchant_id, origin, reason)
    _print_state(merchant, as_json=as_json)


@merchants.command()
@click.argument("merchant_id", type=UuidParam(), metavar="ID")
@reason_option
@operator_option
@json_option
@pass_cli_context
def resume(
    cli: CliContext, merchant_id: UUID, reason: str | None, origin: Origin, *, as_json: bool
) -> None:
    """End the suspension of a merchant: its API keys work again. Safe to repeat."""
    merchant = cli.application.merchants.resume(merchant_id, origin, reason)
    _print_state(merchant, as_json=as_json)


@merchants.command("set-network")
@click.argument("merchant_id", type=UuidParam(), metavar="ID")
@click.argument("network", metavar="NETWORK")
@operator_option
@json_option
@pass_cli_context
def set_network(
    cli: CliContext, merchant_id: UUID, network: str, origin: Origin, *, as_json: bool
) -> None:
    """Choose the card network of a merchant's payments: sandbox, stripe, or default.

    `default` is the network of CARD_NETWORK. Payments that are accepted already keep theirs, and so
    do their refunds. Safe to repeat.
    """
    own_network = None if network == DEFAULT else network
    merchant = cli.application.merchants.set_network(merchant_id, own_network, origin)
    if as_json:
        print_json(_merchant_to_json(merchant))
    else:
        click.echo(f"{merchant.name} ({merchant.id}) uses {_format_network(merchant)}.")


def _format_network(merchant: Merchant) -> str:
    return merchant.network or "the default card network"


def _print_state(merchant: Merchant, *, as_json: bool) -> None:
    if as_json:
        print_json(_merchant_to_json(merchant))
    else:
        click.echo(f"{merchant.name} ({merchant.id}) is {_format_state(merchant)}.")


def _format_state(merchant: Merchant) -> str:
    if merchant.suspended_at is None:
        return "active"
    return f"suspended since {format_time(merchant.suspended_at)}"


def _merchant_to_json(merchant: Merchant) -> dict[str, object]:
    return {
        "id": merchant.id,
        "name": merchant.name,
        "createdAt": merchant.created_at,
        "suspendedAt": merchant.suspended_at,
        "network": merchant.network,
    }
