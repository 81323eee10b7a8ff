"""`atomic reconcile …`"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
from atomic_core.domain.origins import Origin
from atomic_core.domain.reconciliation import Difference, ReconciliationReport
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    UuidParam,
    json_option,
    limit_option,
    operator_option,
    pass_cli_context,
    print_json,
    show_progress,
)
from atomic_worker.commands.tables import format_time, render_table


class MomentParam(click.ParamType):
    """A day, which begins at midnight UTC, or a time with its offset."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        is_day = len(value) == len("2026-01-31")
        if moment is None or (moment.tzinfo is None and not is_day):
            self.fail(
                "Must be a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z.",
                param,
                ctx,
            )
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@click.group(cls=ListByDefaultGroup)
def reconcile() -> None:
    """Compare a card network's statement with the ledger, and show kept reports.

    The sweeper reconciles each day (UTC) two hours after its end.
    """


@reconcile.command()
@click.option("--from", "begin", type=MomentParam(), help="Begin; yesterday if left out.")
@click.option("--to", "end", type=MomentParam(), help="End, exclusive; a day later if left out.")
@click.option("--apply", is_flag=True, help="Query the network now about what is in doubt.")
@operator_option
@json_option
@pass_cli_context
@click.pass_context
def stripe(
    ctx: click.Context,
    cli: CliContext,
    begin: datetime | None,
    end: datetime | None,
    origin: Origin,
    *,
    apply: bool,
    as_json: bool,
) -> None:
    """Reconcile Stripe's balance transactions of a period of up to 31 days.

    The exit status is 1 if something differs. What is in doubt here explains a difference and is
    listed without being one; with --apply it becomes due at once, audited, and Stripe's answer ends
    it. Nothing else is corrected. The report is kept.
    """
    if begin is None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        begin = (end or today) - timedelta(days=1)
    use_cases = cli.application.reconciliation
    with show_progress("Reconciling"):
        report = use_cases.run("stripe", begin, end or begin + timedelta(days=1))
    retried = use_cases.resolve_in_doubt(report, origin) if apply else ()
    if as_json:
        print_json({**report_to_json(report), "retried": [str(id) for id in retried]})
    else:
        click.echo(render_report(report))
        for id in retried:
            click.echo(f"{id} is due now.")
    ctx.exit(0 if report.is_clean else 1)


@reconcile.command("list")
@limit_option
@json_option
@pass_cli_context
def list_(cli: CliContext, limit: int, *, as_json: bool) -> None:
    """List kept reports, newest first."""
    reports = cli.application.reconciliation.list(limit)
    if as_json:
        print_json({"reports": [_summary_to_json(report) for report in reports]})
        return
    headings = ("ID", "Network", "From", "To", "By", "Lines", "Matched", "Differ", "In doubt")
    rows = [
        (
            report.id,
            report.network,
            format_time(report.begin),
            format_time(report.end),
            "sweeper" if report.is_scheduled else "operator",
            report.lines,
            report.matched,
            report.difference_count,
            report.in_doubt_count,
        )
        for report in reports
    ]
    click.echo(render_table(headings, rows, right={"Lines", "Matched", "Differ", "In doubt"}))


@reconcile.command()
@click.argument("report_id", type=UuidParam(), metavar="ID")
@json_option
@pass_cli_context
def show(cli: CliContext, report_id: UUID, *, as_json: bool) -> None:
    """Show a kept report with up to 1,000 of its differences."""
    report = cli.application.reconciliation.get(report_id)
    if as_json:
        print_json(report_to_json(report))
    else:
        click.echo(render_report(report))


def render_report(report: ReconciliationReport) -> str:
    period = f"from {format_time(report.begin)} to {format_time(report.end)}"
    counts = (
        f"{report.lines} lines, {report.matched} matched, {report.difference_count} differ, "
        f"{report.in_doubt_count} in doubt."
    )
    lines = [
        f"{report.network} {period}: {counts}",
        *(f"Not compared: {count} of type {type}." for type, count in sorted(report.other.items())),
        *(
            f"Fees of the network: {_format_amount(fee, currency)} {currency}."
            for currency, fee in sorted(report.fees.items())
        ),
    ]
    if report.unchecked:
        lines.append(f"Too many differ: {report.unchecked} more were not looked up.")
    if report.differences:
        headings = ("Difference", "There", "Here", "Currency", "Status", "Payment", "Reference")
        rows = [_build_row(difference) for difference in report.differences]
        lines += ["", render_table(headings, rows, right={"There", "Here"})]
    return "\n".join(lines)


def _build_row(difference: Difference) -> tuple[object, ...]:
    return (
        difference.kind.value,
        "?" if difference.there is None else _format_amount(difference.there, difference.currency),
        _format_amount(difference.here, difference.currency),
        difference.currency,
        difference.status or "",
        difference.payment_id or "",
        difference.reference or difference.line_id or "",
    )


def _format_amount(amount: int, currency: str) -> str:
    """Of a currency that is unknown here, as the network counts it."""
    if currency not in CURRENCY_EXPONENTS:
        return str(amount)
    return format_minor_units(amount, currency)


def _summary_to_json(report: ReconciliationReport) -> dict[str, object]:
    return {
        "id": report.id,
        "network": report.network,
        "from": report.begin,
        "to": report.end,
        "scheduled": report.is_scheduled,
        "createdAt": report.created_at,
        "clean": report.is_clean,
        "lines": report.lines,
        "matched": report.matched,
        "differenceCount": report.difference_count,
        "inDoubtCount": report.in_doubt_count,
        "unchecked": report.unchecked,
    }


def report_to_json(report: ReconciliationReport) -> dict[str, object]:
    return {
        **_summary_to_json(report),
        "other": dict(report.other),
        "fees": dict(report.fees),
        "differences": [_difference_to_json(difference) for difference in report.differences],
    }


def _difference_to_json(difference: Difference) -> Mapping[str, object]:
    return {
        "kind": difference.kind.value,
        "currency": difference.currency,
        "there": difference.there,
        "here": difference.here,
        "reference": difference.reference,
        "lineId": difference.line_id,
        "paymentId": difference.payment_id,
        "merchantId": difference.merchant_id,
        "status": difference.status,
        "openIds": [str(id) for id in difference.open_ids],
    }
