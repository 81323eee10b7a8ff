"""`atomic currencies`"""

import click

from atomic_core.domain.admin_queries import SystemAccounts
from atomic_core.domain.currencies import CURRENCIES, Currency
from atomic_worker.commands.console import Toolbox, as_json, say_json, tools
from atomic_worker.commands.tables import table


@click.command()
@click.option("--enabled", "only_enabled", is_flag=True, help="Only those accepted here.")
@as_json
@tools
def currencies(box: Toolbox, *, only_enabled: bool, as_json: bool) -> None:
    """List the currencies of ISO 4217: whether each is accepted here, and how many decimals it has.

    The World and fee accounts come into being on a currency's first use.
    """
    enabled, house = box.settings.currencies, box.application.admin.get_system_accounts()
    listed = [
        (currency, currency.code in enabled, house.get(currency.code, SystemAccounts()))
        for currency in CURRENCIES.values()
        if currency.code in enabled or not only_enabled
    ]
    if as_json:
        say_json({"currencies": [_described(*each) for each in listed]})
        return
    rows = [
        (currency.code, currency.exponent, currency.name, _yes(is_enabled),
         _yes(own.world is not None), _yes(own.fees is not None))
        for currency, is_enabled, own in listed
    ]  # fmt: skip
    headings = ("Code", "Decimals", "Name", "Enabled", "World", "Fees")
    click.echo(table(headings, rows, right={"Decimals"}))


def _yes(truth: bool) -> str:  # noqa: FBT001
    return "yes" if truth else "no"


def _described(currency: Currency, enabled: bool, own: SystemAccounts) -> dict[str, object]:  # noqa: FBT001
    return {
        "code": currency.code,
        "exponent": currency.exponent,
        "name": currency.name,
        "enabled": enabled,
        "worldAccountId": own.world and own.world.id,
        "feeAccountId": own.fees and own.fees.id,
    }
