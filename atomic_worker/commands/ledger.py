"""`atomic ledger …`"""

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import click

from atomic_core.domain.explanations import ExplainedEntry, Explanation
from atomic_core.domain.lists import Position
from atomic_core.domain.money import format_minor_units
from atomic_core.domain.origins import Origin
from atomic_core.domain.periods import ClosingRequest, Period
from atomic_worker.commands.account_statuses import find_owner
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    UuidParam,
    after_option,
    json_option,
    limit_option,
    operator_option,
    pass_cli_context,
    print_json,
    print_next_page,
)
from atomic_worker.commands.keys import merchant_option
from atomic_worker.commands.tables import format_money, format_time, render_fields, render_table
from atomic_worker.commands.trial_balance import EndParam

_KIND_HEADINGS: Final = ("Kind", "Entries", "Debit", "Credit", "Change")
_ENTRY_HEADINGS: Final = (
    *("Entry", "Posted", "Kind", "Amount", "Balance"),
    *("Transaction", "Payment", "Request"),
)


class DayParam(click.ParamType):
    """A date, such as 2026-10-31."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007  a day has no zone
        except ValueError:
            self.fail("Must be a date such as 2026-10-31.", param, ctx)


@click.group()
def ledger() -> None:
    """Close and list the periods of a merchant's books, and explain balances."""


@ledger.group(cls=ListByDefaultGroup)
def periods() -> None:
    """List and close the periods of a merchant's books."""


@periods.command("list")
@merchant_option
@after_option
@limit_option
@json_option
@pass_cli_context
def list_(
    cli: CliContext, merchant_id: UUID, after: UUID | None, limit: int, *, as_json: bool
) -> None:
    """List a merchant's closed periods, the latest first."""
    position = None
    if after:
        last = cli.application.periods.get(merchant_id, after)
        position = Position(last.created_at, last.id)
    page = cli.application.periods.list(merchant_id, position, limit)
    next_cursor = page.items[-1].id if page.has_more else None
    if as_json:
        items = [_period_to_json(period) for period in page.items]
        print_json({"periods": items, "nextCursor": next_cursor})
        return
    rows = [
        (
            period.id,
            period.start or "the beginning",
            period.end,
            format_time(period.closed_at),
            period.accounts,
            period.digest_hex,
        )
        for period in page.items
    ]
    headings = ("ID", "From", "To", "Closed", "Accounts", "Digest")
    click.echo(render_table(headings, rows, right={"Accounts"}))
    print_next_page(next_cursor)


@periods.command()
@click.argument("end_date", type=DayParam(), metavar="DATE")
@merchant_option
@operator_option
@json_option
@pass_cli_context
def close(
    cli: CliContext, end_date: date, merchant_id: UUID, origin: Origin, *, as_json: bool
) -> None:
    """Close a merchant's books up to the end of a day (UTC) that is over. Audited.

    Nothing that takes effect until then is posted any more. It cannot be undone. Payments of the
    merchant wait meanwhile.
    """
    period = cli.application.periods.close(ClosingRequest(merchant_id, end_date, origin))
    if as_json:
        print_json(_period_to_json(period))
        return
    click.echo(
        render_fields(
            [
                ("Period", period.id),
                ("From", period.start),
                ("To", period.end),
                ("Closed", format_time(period.closed_at)),
                ("Accounts", period.accounts),
                ("Digest", period.digest_hex),
            ]
        )
    )


@ledger.command()
@click.argument("account_id", type=UuidParam(), metavar="ACCOUNT")
@click.option(
    "--from",
    "begin",
    type=EndParam(),
    help="The end of this day, or this time; default: when the account was opened.",
)
@click.option("--to", "end", type=EndParam(), help="The end of this day, or this time; now.")
@click.option(
    "--after",
    type=click.IntRange(1),
    metavar="ENTRY",
    help="Continue: the last entry of the page before, which --json has as nextCursor.",
)
@limit_option
@json_option
@pass_cli_context
def explain(
    cli: CliContext,
    account_id: UUID,
    begin: datetime | None,
    end: datetime | None,
    after: int | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Say why the balance of a merchant's account differs between two moments.

    Sums by kind of transaction, then the entries that were posted between them, newest first.
    """
    merchant_id = find_owner(cli, account_id)
    found = cli.application.balances.explain(merchant_id, account_id, begin, end, after, limit)
    next_cursor = found.page.items[-1].sequence if found.page.has_more else None
    if as_json:
        print_json({**_explanation_to_json(found), "nextCursor": next_cursor})
        return
    click.echo(_render_explanation(found))
    if next_cursor is not None:
        click.echo(f"The next page: --after {next_cursor}", err=True)


def _render_explanation(found: Explanation) -> str:
    currency = found.account.currency

    def format_amount(amount: int) -> str:
        return format_minor_units(amount, currency)

    parts = [
        render_fields(
            [
                ("Account", found.account.id),
                ("From", format_time(found.begin)),
                ("To", format_time(found.end)),
                ("Opening", format_money(found.opening.balance, currency)),
                ("Closing", format_money(found.closing.balance, currency)),
                ("Change", format_money(found.change, currency)),
            ]
        )
    ]
    if found.kinds:
        rows = [
            (row.kind, row.entries, *map(format_amount, (row.debit, row.credit, row.change)))
            for row in found.kinds
        ]
        parts.append(render_table(_KIND_HEADINGS, rows, right=set(_KIND_HEADINGS[1:])))
    if found.page.items:
        rows = [
            (
                entry.sequence,
                format_time(entry.posted_at),
                entry.kind,
                format_amount(entry.amount),
                format_amount(entry.balance_after),
                entry.transaction_id,
                entry.payment_id,
                entry.request_id,
            )
            for entry in found.page.items
        ]
        parts.append(render_table(_ENTRY_HEADINGS, rows, right={"Entry", "Amount", "Balance"}))
    return "\n\n".join(parts)


def _period_to_json(period: Period) -> dict[str, object]:
    return {
        "id": period.id,
        "merchantId": period.merchant_id,
        "startDate": period.start,
        "endDate": period.end,
        "closedAt": period.closed_at,
        "accounts": period.accounts,
        "digest": period.digest_hex,
        "previousDigest": period.previous_digest_hex,
    }


def _explanation_to_json(found: Explanation) -> dict[str, object]:
    kinds = found.kinds
    return {
        "accountId": found.account.id,
        "currency": found.account.currency,
        "from": found.begin,
        "to": found.end,
        "openingBalance": found.opening.balance,
        "closingBalance": found.closing.balance,
        "change": found.change,
        "entries": found.entry_count,
        "kinds": None
        if kinds is None
        else [{**row._asdict(), "change": row.change} for row in kinds],
        "items": [_entry_to_json(entry) for entry in found.page.items],
    }


def _entry_to_json(entry: ExplainedEntry) -> dict[str, object]:
    return {
        "sequence": entry.sequence,
        "transactionId": entry.transaction_id,
        "paymentId": entry.payment_id,
        "refundId": entry.refund_id,
        "disputeId": entry.dispute_id,
        "kind": entry.kind,
        "amount": entry.amount,
        "balanceAfter": entry.balance_after,
        "postedAt": entry.posted_at,
        "effectiveAt": entry.effective_at,
        "requestId": entry.request_id,
    }
