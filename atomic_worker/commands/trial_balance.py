"""`atomic trial-balance`"""

from datetime import UTC, datetime
from typing import Any

import click

from atomic_core.domain.balances import TimeAxis, TrialBalance, end_day, include_moment
from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
from atomic_worker.commands.console import CliContext, json_option, pass_cli_context, print_json
from atomic_worker.commands.tables import format_time, render_table

_RIGHT_ALIGNED = frozenset({"Accounts", "Debit", "Credit"})


class EndParam(click.ParamType):
    """A day, which stands for its end in UTC, or a time with its offset. The value is the first
    moment that does not count."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return _parse_end(value)
        except (ValueError, OverflowError):
            self.fail(
                "Must be a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z.",
                param,
                ctx,
            )


def _parse_end(text: str) -> datetime:
    """Raises ValueError or OverflowError."""
    moment = datetime.fromisoformat(text)
    if len(text) == len("2026-01-31"):
        return end_day(moment.date())
    if moment.tzinfo is None:
        raise ValueError
    return include_moment(moment.astimezone(UTC))


@click.command("trial-balance")
@click.option("--at", "before", type=EndParam(), help="The end of this day, or this time; now.")
@click.option(
    "--axis",
    type=click.Choice([axis.value for axis in TimeAxis]),
    default=TimeAxis.POSTED.value,
    show_default=True,
    help="The time of an entry that counts.",
)
@json_option
@pass_cli_context
@click.pass_context
def trial_balance(
    ctx: click.Context, cli: CliContext, before: datetime | None, axis: str, *, as_json: bool
) -> None:
    """Print the balances of all accounts, World and fees included, by kind and currency.

    The exit status is 1 if debits do not equal credits in each currency.
    """
    found = cli.application.balances.get_whole_trial_balance(TimeAxis(axis), before)
    if as_json:
        print_json(trial_balance_to_json(found))
    else:
        click.echo(render_trial_balance(found))
    ctx.exit(0 if found.is_balanced else 1)


def render_trial_balance(found: TrialBalance) -> str:
    """Without the currencies in which no account has a balance: system accounts are opened in every
    currency."""
    used = {total.currency for total in found.totals if total.debit or total.credit}
    rows = [
        (
            "system" if row.is_system else "merchants",
            row.type,
            row.accounts,
            _format_amount(row.debit, row.currency),
            _format_amount(row.credit, row.currency),
            row.currency,
        )
        for row in found.rows
        if row.currency in used
    ]
    rows += [
        (
            "all",
            "balanced" if total.is_balanced else "NOT balanced",
            sum(row.accounts for row in found.rows if row.currency == total.currency),
            _format_amount(total.debit, total.currency),
            _format_amount(total.credit, total.currency),
            total.currency,
        )
        for total in found.totals
        if total.currency in used
    ]
    verdict = "The books balance" if found.is_balanced else "The books do NOT balance"
    headings = ("Owner", "Type", "Accounts", "Debit", "Credit", "Currency")
    table = render_table(headings, rows, right=_RIGHT_ALIGNED)
    return f"{table}\n\n{verdict} at {format_time(found.at)} on the {found.axis} axis."


def _format_amount(amount: int, currency: str) -> str:
    return format_minor_units(amount, currency) if amount else ""


def trial_balance_to_json(found: TrialBalance) -> dict[str, object]:
    return {
        "at": found.at,
        "axis": found.axis.value,
        "balanced": found.is_balanced,
        "rows": [
            {
                "owner": "system" if row.is_system else "merchants",
                "type": row.type,
                "currency": row.currency,
                "exponent": CURRENCY_EXPONENTS[row.currency],
                "accounts": row.accounts,
                "debit": row.debit,
                "credit": row.credit,
            }
            for row in found.rows
        ],
        "totals": [
            {
                "currency": total.currency,
                "debit": total.debit,
                "credit": total.credit,
                "difference": total.difference,
                "balanced": total.is_balanced,
            }
            for total in found.totals
        ],
    }
