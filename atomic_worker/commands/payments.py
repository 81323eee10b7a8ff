"""`atomic payments …`"""

from uuid import UUID

import click

from atomic_core.domain.admin_queries import AdminPayment, AdminRefund
from atomic_core.domain.money import format_minor_units
from atomic_core.domain.payments import Payment, Status
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    UuidParam,
    json_option,
    limit_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.payment_details import (
    payment_details_to_json,
    payment_to_json,
    render_payment_details,
)
from atomic_worker.commands.tables import format_time, render_table


@click.group(cls=ListByDefaultGroup)
def payments() -> None:
    """List payments, show one in detail, retry one now.

    Amounts are in major units, such as 12.34 USD; with --json, in minor units.
    """


@payments.command("list")
@click.option("--merchant", "merchant_id", type=UuidParam(), help="Only this merchant's payments.")
@click.option("--status", type=click.Choice(list(Status)), help="Only payments with this status.")
@limit_option
@json_option
@pass_cli_context
def list_(
    cli: CliContext, merchant_id: UUID | None, status: Status | None, limit: int, *, as_json: bool
) -> None:
    """List payments, newest first."""
    payments = cli.application.admin.list_payments(limit, merchant_id, status)
    if as_json:
        print_json({"payments": [payment_to_json(payment) for payment in payments]})
        return
    headings = ("ID", "Created", "Status", "Step", "Attempt", "Amount", "Currency", "Merchant")
    rows = [_build_row(payment) for payment in payments]
    click.echo(render_table(headings, rows, right={"Attempt", "Amount"}))


@payments.command()
@click.argument("payment_id", type=UuidParam(), metavar="ID")
@json_option
@pass_cli_context
def show(cli: CliContext, payment_id: UUID, *, as_json: bool) -> None:
    """Show a payment with its refunds, timeline and ledger entries."""
    details = cli.application.admin.get_payment(payment_id)
    if as_json:
        print_json(payment_details_to_json(details))
    else:
        click.echo(render_payment_details(details))


@payments.command()
@click.argument("id", type=UuidParam(), metavar="ID")
@json_option
@pass_cli_context
def retry(cli: CliContext, id: UUID, *, as_json: bool) -> None:
    """Retry a payment or refund now, by its id.

    A payment or refund that waits for its back-off or lease to end becomes due at once. A worker
    that holds it may still finish it; it is settled only once. The exit status is 1 if it is
    settled already.
    """
    before = cli.application.admin.retry_payment(id)
    kind, status, attempt = _describe_item(before)
    due_before = format_time(before.progress.leased_until or before.progress.due_at)
    if as_json:
        was = {"dueAt": before.progress.due_at, "leasedUntil": before.progress.leased_until}
        print_json({"id": id, "kind": kind, "status": status, "attempt": attempt, "was": was})
    else:
        click.echo(f"The {kind} {id} is due now; it was {status}, due {due_before}.")


def _describe_item(item: AdminPayment | AdminRefund) -> tuple[str, Status, int]:
    if isinstance(item, AdminPayment):
        return "payment", item.payment.status, item.payment.attempt
    return "refund", item.refund.status, item.refund.attempt


def _build_row(payment: Payment) -> tuple[object, ...]:
    amount, currency = payment.money.amount, payment.money.currency
    return (
        payment.id,
        format_time(payment.created_at),
        payment.status,
        payment.step,
        payment.attempt,
        format_minor_units(amount, currency),
        currency,
        payment.merchant_id,
    )
