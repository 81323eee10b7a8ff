"""`atomic payments …`"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import click

from atomic_core.domain.admin_queries import (
    AdminPayment,
    AdminRefund,
    UnresolvedStep,
    UnresolvedTotal,
)
from atomic_core.domain.money import format_minor_units
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Payment, Status
from atomic_core.use_cases.in_doubt import Resolution
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    ReasonParam,
    UuidParam,
    after_option,
    build_operator_option,
    json_option,
    limit_option,
    operator_option,
    pass_cli_context,
    print_json,
    print_next_page,
)
from atomic_worker.commands.payment_actions import PAYMENT_ACTIONS
from atomic_worker.commands.payment_details import (
    payment_details_to_json,
    payment_to_json,
    render_payment_details,
)
from atomic_worker.commands.tables import format_time, render_table


@click.group(cls=ListByDefaultGroup)
def payments() -> None:
    """List payments, show one in detail, create, capture, cancel and refund, retry one now, resolve
    one that is in doubt.

    Amounts are in major units, such as 12.34 USD; with --json, in minor units.
    """


for _command in PAYMENT_ACTIONS:
    payments.add_command(_command)


@payments.command("list")
@click.option("--merchant", "merchant_id", type=UuidParam(), help="Only this merchant's payments.")
@click.option("--status", type=click.Choice(list(Status)), help="Only payments with this status.")
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
    """List payments, newest first.

    A page of SUCCESS, FAILED or CANCELED may be short, or empty, although more follow: go on with
    --after as long as there is a next page.
    """
    page = cli.application.admin.list_payments(limit, merchant_id, status, after)
    if as_json:
        items = [payment_to_json(payment) for payment in page.items]
        print_json({"payments": items, "nextCursor": page.next_after})
        return
    headings = ("ID", "Created", "Status", "Step", "Attempt", "Amount", "Currency", "Merchant")
    rows = [_build_row(payment) for payment in page.items]
    click.echo(render_table(headings, rows, right={"Attempt", "Amount"}))
    print_next_page(page.next_after)


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
@operator_option
@json_option
@pass_cli_context
def retry(cli: CliContext, id: UUID, origin: Origin, *, as_json: bool) -> None:
    """Retry a payment or refund now, by its id.

    A payment or refund that waits for its back-off or lease to end becomes due at once. A worker
    that holds it may still finish it; it is settled only once. The exit status is 1 if it is
    settled already. Audited.
    """
    before = cli.application.admin.retry_payment(id, origin)
    kind, status, attempt = _describe_item(before)
    due_before = format_time(before.progress.leased_until or before.progress.due_at)
    if as_json:
        was = {"dueAt": before.progress.due_at, "leasedUntil": before.progress.leased_until}
        print_json({"id": id, "kind": kind, "status": status, "attempt": attempt, "was": was})
    else:
        click.echo(f"The {kind} {id} is due now; it was {status}, due {due_before}.")


@payments.command("in-doubt")
@click.option(
    "--totals", is_flag=True, help="Add up their amounts by network and currency instead."
)
@limit_option
@json_option
@pass_cli_context
def in_doubt(cli: CliContext, limit: int, *, totals: bool, as_json: bool) -> None:
    """List payments and refunds that the card network has left open, the longest open first.

    Their network states: `unknown` is in doubt, because the network may have processed the step;
    `pending` is a step that it has and has not decided; `not_sent` has not arrived there;
    `refused` is a release of money that it refuses. All are retried until the network answers.
    """
    if totals:
        _print_totals(cli.application.admin.sum_unresolved(), as_json=as_json)
        return
    steps = cli.application.admin.list_unresolved(limit)
    if as_json:
        print_json({"unresolved": [_unresolved_to_json(step) for step in steps]})
        return
    headings = (
        *("ID", "Kind", "Step", "Network", "Since", "Tries", "Next try"),
        *("Amount", "Currency", "Merchant"),
    )
    rows = [
        (
            step.id,
            "refund" if step.refund_id else "payment",
            step.step,
            step.network_state,
            format_time(step.unresolved_since),
            step.faults,
            format_time(step.due_at),
            format_minor_units(step.amount, step.currency),
            step.currency,
            step.merchant_id,
        )
        for step in steps
    ]
    click.echo(render_table(headings, rows, right={"Tries", "Amount"}))


@payments.command()
@click.argument("id", type=UuidParam(), metavar="ID")
@click.option(
    "--as",
    "outcome",
    type=click.Choice(("succeeded", "failed")),
    required=True,
    help="What the card network's records say about the open step.",
)
@click.option(
    "--reason",
    type=ReasonParam(),
    required=True,
    help="Where you found it, for the audit log, which the merchant can read.",
)
@build_operator_option("--operator")
@json_option
@pass_cli_context
def resolve(
    cli: CliContext, id: UUID, outcome: str, reason: str, origin: Origin, *, as_json: bool
) -> None:
    """Decide a payment or refund that the card network has left open.

    Look the step up in the card network's own records first: the decision moves money in the
    ledger, and nothing moves at the network. It is recorded in the audit log. The exit status is 1
    if the network has not left it open.
    """
    resolution = Resolution(id, outcome == "succeeded", reason, origin)
    saved = cli.application.admin.resolve_step(resolution)
    kind = "refund" if saved.refund_id else "payment"
    if as_json:
        print_json({"id": id, "kind": kind, "status": saved.status})
    else:
        click.echo(f"The {kind} {id} is {saved.status} now.")


def _print_totals(totals: Sequence[UnresolvedTotal], *, as_json: bool) -> None:
    if as_json:
        print_json({"totals": [_total_to_json(total) for total in totals]})
        return
    headings = (
        *("Network", "State", "Currency", "Steps", "Amount"),
        *("Over 15 min", "Their amount", "Oldest since"),
    )
    rows = [
        (
            total.network,
            total.network_state,
            total.currency,
            total.steps,
            format_minor_units(total.amount, total.currency),
            total.overdue_steps,
            format_minor_units(total.overdue_amount, total.currency),
            format_time(total.oldest_since),
        )
        for total in totals
    ]
    right = {"Steps", "Amount", "Over 15 min", "Their amount"}
    click.echo(render_table(headings, rows, right=right))


def _total_to_json(total: UnresolvedTotal) -> Mapping[str, object]:
    return {
        "network": total.network,
        "networkState": total.network_state,
        "currency": total.currency,
        "steps": total.steps,
        "amount": total.amount,
        "overdueSteps": total.overdue_steps,
        "overdueAmount": total.overdue_amount,
        "oldestSince": total.oldest_since,
    }


def _unresolved_to_json(step: UnresolvedStep) -> Mapping[str, object]:
    return {
        "id": step.id,
        "paymentId": step.payment_id,
        "refundId": step.refund_id,
        "merchantId": step.merchant_id,
        "amount": step.amount,
        "currency": step.currency,
        "step": step.step,
        "networkState": step.network_state,
        "unresolvedSince": step.unresolved_since,
        "tries": step.faults,
        "dueAt": step.due_at,
    }


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
