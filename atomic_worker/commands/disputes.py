"""`atomic disputes …`"""

from uuid import UUID

import click

from atomic_core.domain.disputes import Dispute, DisputeStatus
from atomic_core.domain.lists import DisputeFilter, Position
from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
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
from atomic_worker.commands.tables import format_time, render_fields, render_table


@click.group(cls=ListByDefaultGroup)
def disputes() -> None:
    """List and show what card networks have withdrawn again of payments."""


@disputes.command("list")
@click.option("--merchant", "merchant_id", type=UuidParam(), help="Of this merchant only.")
@click.option("--payment", "payment_id", type=UuidParam(), help="Of this payment only.")
@click.option(
    "--status",
    type=click.Choice([status.value for status in DisputeStatus], case_sensitive=False),
    help="With this status only.",
)
@after_option
@limit_option
@json_option
@pass_cli_context
def list_(
    cli: CliContext,
    merchant_id: UUID | None,
    payment_id: UUID | None,
    status: str | None,
    after: UUID | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List disputes, newest first."""
    statuses = frozenset({DisputeStatus(status)} if status else ())
    filters = DisputeFilter(statuses=statuses, payment_id=payment_id)
    use_cases = cli.application.disputes
    last = use_cases.get(None, after) if after else None
    position = Position(last.created_at, last.id) if last else None
    page = use_cases.list(merchant_id, filters, position, limit)
    found = page.items
    next_cursor = found[-1].id if page.has_more else None
    if as_json:
        items = [dispute_to_json(dispute) for dispute in found]
        print_json({"disputes": items, "nextCursor": next_cursor})
        return
    headings = ("ID", "Payment", "Status", "Amount", "Fee", "Reason", "Opened", "Evidence due")
    rows = [
        (
            dispute.id,
            dispute.payment_id,
            dispute.status,
            _format_amount(dispute, dispute.money.amount),
            _format_amount(dispute, dispute.fee),
            dispute.reason,
            format_time(dispute.created_at),
            format_time(dispute.evidence_due_at),
        )
        for dispute in found
    ]
    click.echo(render_table(headings, rows, right={"Amount", "Fee"}))
    print_next_page(next_cursor)


@disputes.command()
@click.argument("dispute_id", type=UuidParam(), metavar="DISPUTE_ID")
@json_option
@pass_cli_context
def show(cli: CliContext, dispute_id: UUID, *, as_json: bool) -> None:
    """Show a dispute. Its evidence, which may be personal, is left out."""
    dispute = cli.application.disputes.get(None, dispute_id)
    if as_json:
        print_json(dispute_to_json(dispute))
        return
    pairs = (
        ("Dispute", dispute.id),
        ("Payment", dispute.payment_id),
        ("Merchant", dispute.merchant_id),
        ("Account", dispute.account_id),
        ("Status", dispute.status),
        ("Amount", _format_amount(dispute, dispute.money.amount)),
        ("Fee", _format_amount(dispute, dispute.fee)),
        ("Fee returned", _format_amount(dispute, dispute.fee_returned)),
        ("Reason", dispute.reason),
        ("Network", f"{dispute.network} {dispute.network_reference}"),
        ("Evidence due", format_time(dispute.evidence_due_at)),
        ("Evidence", "yes" if dispute.evidence else "no"),
        ("Pending response", dispute.pending_response),
        ("Response failure", dispute.response_failure),
        ("Opened", format_time(dispute.created_at)),
        ("Closed", format_time(dispute.closed_at)),
    )
    click.echo(render_fields(pairs))


def dispute_to_json(dispute: Dispute) -> dict[str, object]:
    return {
        "id": dispute.id,
        "paymentId": dispute.payment_id,
        "merchantId": dispute.merchant_id,
        "accountId": dispute.account_id,
        "status": dispute.status,
        "amount": dispute.money.amount,
        "currency": dispute.money.currency,
        "exponent": CURRENCY_EXPONENTS[dispute.money.currency],
        "fee": dispute.fee,
        "feeReturned": dispute.fee_returned,
        "reason": dispute.reason,
        "network": dispute.network,
        "networkReference": dispute.network_reference,
        "evidenceDueAt": dispute.evidence_due_at,
        "hasEvidence": dispute.evidence is not None,
        "pendingResponse": dispute.pending_response,
        "responseFailure": dispute.response_failure,
        "createdAt": dispute.created_at,
        "updatedAt": dispute.updated_at,
        "closedAt": dispute.closed_at,
    }


def _format_amount(dispute: Dispute, amount: int) -> str:
    currency = dispute.money.currency
    return f"{format_minor_units(amount, currency)} {currency}"
