"""`atomic fees …`"""

from collections.abc import Sequence
from uuid import UUID

import click

from atomic_core.domain.fees import FeeSchedule, FeeTerms
from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
from atomic_core.domain.origins import Origin
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    json_option,
    operator_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.keys import merchant_option
from atomic_worker.commands.tables import format_time, render_table


@click.group(cls=ListByDefaultGroup)
def fees() -> None:
    """Set and list the fees that a merchant pays per payment, by currency."""


@fees.command("set")
@merchant_option
@click.option("--currency", metavar="CODE", required=True, help="The currency of the payments.")
@click.option("--basis-points", type=int, default=0, show_default=True, help="290 is 2.9 %.")
@click.option("--fixed", type=int, default=0, show_default=True, help="In minor units.")
@operator_option
@json_option
@pass_cli_context
def set_(
    cli: CliContext,
    merchant_id: UUID,
    currency: str,
    basis_points: int,
    fixed: int,
    origin: Origin,
    *,
    as_json: bool,
) -> None:
    """Set the fee of payments captured from now on. 0 and 0 removes it. Audited."""
    terms = FeeTerms(basis_points, fixed)
    schedule = cli.application.fees.set(merchant_id, currency, terms, origin)
    if as_json:
        print_json(fee_to_json(schedule))
    else:
        click.echo(render_fees([schedule]))


@fees.command("list")
@merchant_option
@json_option
@pass_cli_context
def list_(cli: CliContext, merchant_id: UUID, *, as_json: bool) -> None:
    """List a merchant's fees, by currency."""
    schedules = cli.application.fees.list(merchant_id)
    if as_json:
        print_json({"fees": [fee_to_json(schedule) for schedule in schedules]})
    else:
        click.echo(render_fees(schedules))


def render_fees(schedules: Sequence[FeeSchedule]) -> str:
    rows = [
        (
            schedule.currency,
            _format_percent(schedule.terms),
            format_minor_units(schedule.terms.fixed, schedule.currency),
            format_time(schedule.updated_at),
        )
        for schedule in schedules
    ]
    return render_table(("Currency", "Part", "Fixed", "Since"), rows, right={"Part", "Fixed"})


def _format_percent(terms: FeeTerms) -> str:
    """Basis points are hundredths of a percent."""
    whole, part = divmod(terms.basis_points, 100)
    return f"{whole}.{part:02} %"


def fee_to_json(schedule: FeeSchedule) -> dict[str, object]:
    return {
        "merchantId": schedule.merchant_id,
        "currency": schedule.currency,
        "exponent": CURRENCY_EXPONENTS[schedule.currency],
        "basisPoints": schedule.terms.basis_points,
        "fixed": schedule.terms.fixed,
        "updatedAt": schedule.updated_at,
    }
