"""`atomic refunds …`"""

from uuid import UUID

import click

from atomic_core.domain.money import format_minor_units
from atomic_core.domain.payments import Status
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    UuidParam,
    after_option,
    json_option,
    limit_option,
    pass_cli_context,
    print_json,
    print_next_page,
)
from atomic_worker.commands.payment_details import refund_to_json
from atomic_worker.commands.tables import format_time, render_table

STATUSES = (Status.PENDING, Status.PROCESSING, Status.SUCCESS, Status.FAILED)


@click.group(cls=ListByDefaultGroup)
def refunds() -> None:
    """List refunds.

    Amounts are in major units, such as 12.34 USD; with --json, in minor units.
    """


@refunds.command("list")
@click.option("--merchant", "merchant_id", type=UuidParam(), help="Only this merchant's refunds.")
@click.option("--status", type=click.Choice(STATUSES), help="Only refunds with this status.")
@after_option
@limit_option
@json_option
@pass_cli_context
def list_(
    cli: CliContext,
    merchant_id: UUID | None,
    status: Status | None,
    after: UUID | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List refunds, newest first.

    A page of SUCCESS or FAILED may be short, or empty, although more follow: go on with
    --after as long as there is a next page.
    """
    page = cli.application.admin.list_refunds(limit, merchant_id, status, after)
    if as_json:
        items = [refund_to_json(refund) for refund in page.items]
        print_json({"refunds": items, "nextCursor": page.next_after})
        return
    headings = ("ID", "Created", "Status", "Amount", "Currency", "Payment", "Merchant")
    rows = [
        (
            refund.id,
            format_time(refund.created_at),
            refund.status,
            format_minor_units(refund.money.amount, refund.money.currency),
            refund.money.currency,
            refund.payment_id,
            refund.merchant_id,
        )
        for refund in page.items
    ]
    click.echo(render_table(headings, rows, right={"Amount"}))
    print_next_page(page.next_after)
