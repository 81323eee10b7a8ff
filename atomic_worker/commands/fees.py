"""`atomic fees …`"""

from collections.abc import Sequence
from uuid import UUID

import click

from atomic_core.domain.fees import FeeSchedule, FeeTerms
from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
from atomic_worker.commands.console import Listing, Toolbox, as_json, say_json, tools
from atomic_worker.commands.keys import merchant
from atomic_worker.commands.tables import moment, table


@click.group(cls=Listing)
def fees() -> None:
    """Agree on what a merchant pays for a payment, per currency."""


@fees.command("set")
@merchant
@click.option("--currency", metavar="CODE", required=True, help="Of the payments it is for.")
@click.option("--basis-points", type=int, default=0, show_default=True, help="290 is 2.9 %.")
@click.option("--fixed", type=int, default=0, show_default=True, help="In minor units.")
@as_json
@tools
def set_(
    box: Toolbox, merchant_id: UUID, currency: str, basis_points: int, fixed: int, *, as_json: bool
) -> None:
    """Agree on new terms. They hold for what is captured from now on; 0 and 0 ends them."""
    schedule = box.application.fees.set(merchant_id, currency, FeeTerms(basis_points, fixed))
    if as_json:
        say_json(described(schedule))
    else:
        click.echo(fees_table([schedule]))


@fees.command("list")
@merchant
@as_json
@tools
def list_(box: Toolbox, merchant_id: UUID, *, as_json: bool) -> None:
    """List a merchant's fees, by currency."""
    found = box.application.fees.list(merchant_id)
    if as_json:
        say_json({"fees": [described(schedule) for schedule in found]})
    else:
        click.echo(fees_table(found))


def fees_table(found: Sequence[FeeSchedule]) -> str:
    rows = [
        (each.currency, _percent(each.terms), format_minor_units(each.terms.fixed, each.currency),
         moment(each.updated_at))
        for each in found
    ]  # fmt: skip
    return table(("Currency", "Part", "Fixed", "Since"), rows, right={"Part", "Fixed"})


def _percent(terms: FeeTerms) -> str:
    """Basis points are hundredths of a percent."""
    whole, part = divmod(terms.basis_points, 100)
    return f"{whole}.{part:02} %"


def described(schedule: FeeSchedule) -> dict[str, object]:
    return {
        "merchantId": schedule.merchant_id,
        "currency": schedule.currency,
        "exponent": CURRENCY_EXPONENTS[schedule.currency],
        "basisPoints": schedule.terms.basis_points,
        "fixed": schedule.terms.fixed,
        "updatedAt": schedule.updated_at,
    }
