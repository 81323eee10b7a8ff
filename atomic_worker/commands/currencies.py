"""`atomic currencies`"""

import click

from atomic_core.domain.admin_queries import SystemAccounts
from atomic_core.domain.currencies import CURRENCIES, Currency
from atomic_worker.commands.console import CliContext, json_option, pass_cli_context, print_json
from atomic_worker.commands.tables import render_table


@click.command()
@click.option("--enabled", "only_enabled", is_flag=True, help="Only enabled currencies.")
@json_option
@pass_cli_context
def currencies(cli: CliContext, *, only_enabled: bool, as_json: bool) -> None:
    """List the ISO 4217 currencies: whether each is enabled, and how many decimals it has.

    The World and fee accounts of a currency are opened on its first use.
    """
    enabled = cli.settings.currencies
    accounts_by_currency = cli.application.admin.get_system_accounts()
    listed = [
        (
            currency,
            currency.code in enabled,
            accounts_by_currency.get(currency.code, SystemAccounts()),
        )
        for currency in CURRENCIES.values()
        if currency.code in enabled or not only_enabled
    ]
    if as_json:
        print_json({"currencies": [_currency_to_json(*row) for row in listed]})
        return
    rows = [
        (currency.code, currency.exponent, currency.name, _format_bool(is_enabled),
         _format_bool(accounts.world is not None), _format_bool(accounts.fees is not None))
        for currency, is_enabled, accounts in listed
    ]  # fmt: skip
    headings = ("Code", "Decimals", "Name", "Enabled", "World", "Fees")
    click.echo(render_table(headings, rows, right={"Decimals"}))


def _format_bool(value: bool) -> str:  # noqa: FBT001
    return "yes" if value else "no"


def _currency_to_json(
    currency: Currency,
    is_enabled: bool,  # noqa: FBT001
    accounts: SystemAccounts,
) -> dict[str, object]:
    return {
        "code": currency.code,
        "exponent": currency.exponent,
        "name": currency.name,
        "enabled": is_enabled,
        "worldAccountId": accounts.world and accounts.world.id,
        "feeAccountId": accounts.fees and accounts.fees.id,
    }
