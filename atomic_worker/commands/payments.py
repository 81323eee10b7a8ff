"""`atomic payments …`"""

from uuid import UUID

import click

from atomic_core.domain.admin_queries import AdminPayment, AdminRefund
from atomic_core.domain.money import format_minor_units
from atomic_core.domain.payments import Payment, Status
from atomic_worker.commands.console import Id, Listing, Toolbox, as_json, limit, say_json, tools
from atomic_worker.commands.payment_details import described, described_file, file_shown
from atomic_worker.commands.tables import moment, table


@click.group(cls=Listing)
def payments() -> None:
    """List payments, tell all about one, try one again now.

    Amounts are in units, such as 12.34 USD. --json has minor units.
    """


@payments.command("list")
@click.option("--merchant", "merchant_id", type=Id(), help="Only this merchant's.")
@click.option("--status", type=click.Choice(list(Status)), help="Only those of this status.")
@limit
@as_json
@tools
def list_(
    box: Toolbox, merchant_id: UUID | None, status: Status | None, limit: int, *, as_json: bool
) -> None:
    """List payments, newest first."""
    found = box.application.admin.list_payments(limit, merchant_id, status)
    if as_json:
        say_json({"payments": [described(payment) for payment in found]})
        return
    headings = ("ID", "Created", "Status", "Step", "Attempt", "Amount", "Currency", "Merchant")
    rows = [_row(payment) for payment in found]
    click.echo(table(headings, rows, right={"Attempt", "Amount"}))


@payments.command()
@click.argument("payment_id", type=Id(), metavar="ID")
@as_json
@tools
def show(box: Toolbox, payment_id: UUID, *, as_json: bool) -> None:
    """Show a payment with its refunds and its whole story."""
    file = box.application.admin.get_payment(payment_id)
    if as_json:
        say_json(described_file(file))
    else:
        click.echo(file_shown(file))


@payments.command()
@click.argument("id", type=Id(), metavar="ID")
@as_json
@tools
def retry(box: Toolbox, id: UUID, *, as_json: bool) -> None:
    """Try a payment or refund again now, by its id.

    For one that waits for its back-off or lease to end: it becomes due at once. Whoever has it in
    hand may still finish it, and nobody does so twice. Status 1 if there is nothing to try.
    """
    before = box.application.admin.retry_payment(id)
    kind, status, attempt = _work(before)
    waited_for = moment(before.progress.leased_until or before.progress.due_at)
    if as_json:
        was = {"dueAt": before.progress.due_at, "leasedUntil": before.progress.leased_until}
        say_json({"id": id, "kind": kind, "status": status, "attempt": attempt, "was": was})
    else:
        click.echo(f"The {kind} {id} is due now; it was {status}, due {waited_for}.")


def _work(of: AdminPayment | AdminRefund) -> tuple[str, Status, int]:
    if isinstance(of, AdminPayment):
        return "payment", of.payment.status, of.payment.attempt
    return "refund", of.refund.status, of.refund.attempt


def _row(payment: Payment) -> tuple[object, ...]:
    amount, currency = payment.money.amount, payment.money.currency
    return (
        payment.id,
        moment(payment.created_at),
        payment.status,
        payment.step,
        payment.attempt,
        format_minor_units(amount, currency),
        currency,
        payment.merchant_id,
    )
