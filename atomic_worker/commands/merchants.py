"""`atomic merchants …`"""

from typing import Final
from uuid import UUID

import click

from atomic_core.domain.merchants import Merchant
from atomic_worker.commands import accounts, fees
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    UuidParam,
    json_option,
    limit_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.tables import format_time, render_fields, render_table

MAX_ACCOUNTS: Final = 100
"""Accounts that `show` prints; `atomic accounts --merchant` lists more."""


@click.group(cls=ListByDefaultGroup)
def merchants() -> None:
    """List merchants and show their accounts and fees."""


@merchants.command("list")
@limit_option
@json_option
@pass_cli_context
def list_(cli: CliContext, limit: int, *, as_json: bool) -> None:
    """List merchants, newest first."""
    merchants = cli.application.admin.list_merchants(limit)
    if as_json:
        print_json({"merchants": [_merchant_to_json(merchant) for merchant in merchants]})
        return
    rows = [
        (merchant.id, format_time(merchant.created_at), merchant.name) for merchant in merchants
    ]
    click.echo(render_table(("ID", "Since", "Name"), rows, right=()))


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
        ("Keys", f"{active} active of {len(details.keys)}"),
    ]
    click.echo(render_fields(fields))
    if details.accounts:
        click.echo(f"\nAccounts\n{accounts.render_accounts(details.accounts)}")
    if details.fees:
        click.echo(f"\nFees\n{fees.render_fees(details.fees)}")


def _merchant_to_json(merchant: Merchant) -> dict[str, object]:
    return {"id": merchant.id, "name": merchant.name, "createdAt": merchant.created_at}
