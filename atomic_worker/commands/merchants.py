"""`atomic merchants …`"""

from typing import Final
from uuid import UUID

import click

from atomic_core.domain.merchants import Merchant
from atomic_worker.commands import accounts, fees
from atomic_worker.commands.console import Id, Listing, Toolbox, as_json, limit, say_json, tools
from atomic_worker.commands.tables import facts, moment, table

MAX_ACCOUNTS: Final = 100
"""Shown of one merchant: honest ones have a few; `atomic accounts --merchant` lists more."""


@click.group(cls=Listing)
def merchants() -> None:
    """List merchants and show what they have."""


@merchants.command("list")
@limit
@as_json
@tools
def list_(box: Toolbox, limit: int, *, as_json: bool) -> None:
    """List merchants, newest first."""
    found = box.application.admin.list_merchants(limit)
    if as_json:
        say_json({"merchants": [_described(merchant) for merchant in found]})
        return
    rows = [(each.id, moment(each.created_at), each.name) for each in found]
    click.echo(table(("ID", "Since", "Name"), rows, right=()))


@merchants.command()
@click.argument("merchant_id", type=Id(), metavar="ID")
@as_json
@tools
def show(box: Toolbox, merchant_id: UUID, *, as_json: bool) -> None:
    """Show a merchant with accounts and fees. `atomic keys list` has the keys."""
    file = box.application.admin.get_merchant(merchant_id, MAX_ACCOUNTS)
    active = sum(key.active for key in file.keys)
    if as_json:
        shown = {
            "accounts": [accounts.described(account) for account in file.accounts],
            "fees": [fees.described(schedule) for schedule in file.fees],
            "keys": {"active": active, "all": len(file.keys)},
        }
        say_json({**_described(file.merchant), **shown})
        return
    told = [
        ("Merchant", file.merchant.id),
        ("Name", file.merchant.name),
        ("Since", moment(file.merchant.created_at)),
        ("Keys", f"{active} active of {len(file.keys)}"),
    ]
    click.echo(facts(told))
    if file.accounts:
        click.echo(f"\nAccounts\n{accounts.accounts_table(file.accounts)}")
    if file.fees:
        click.echo(f"\nFees\n{fees.fees_table(file.fees)}")


def _described(merchant: Merchant) -> dict[str, object]:
    return {"id": merchant.id, "name": merchant.name, "createdAt": merchant.created_at}
