"""`atomic accounts …`"""

from collections.abc import Sequence
from uuid import UUID

import click

from atomic_core.domain.accounts import Account
from atomic_core.domain.lists import AccountEntry
from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
from atomic_worker.commands.account_statuses import ACCOUNT_STATUS_COMMANDS
from atomic_worker.commands.console import (
    CliContext,
    ListByDefaultGroup,
    UuidParam,
    after_option,
    find_next_cursor,
    json_option,
    limit_option,
    pass_cli_context,
    print_json,
    print_next_page,
)
from atomic_worker.commands.tables import format_money, format_time, render_fields, render_table

_HEADINGS = ("ID", "Type", "Balance", "Pending in", "Pending out", "Available", "Currency", "Name")
_RIGHT_ALIGNED = frozenset({"Balance", "Pending in", "Pending out", "Available"})


@click.group(cls=ListByDefaultGroup)
def accounts() -> None:
    """List accounts, show their balances and entries; freeze, close and reopen them.

    Amounts are in major units, such as 12.34 USD; with --json, in minor units.
    """


for _command in ACCOUNT_STATUS_COMMANDS:
    accounts.add_command(_command)


@accounts.command("list")
@click.option("--merchant", "merchant_id", type=UuidParam(), help="Only this merchant's accounts.")
@click.option("--currency", metavar="CODE", help="Only accounts in this currency.")
@click.option(
    "--house", is_flag=True, help="The system accounts (World and fees) in use, by currency."
)
@after_option
@limit_option
@json_option
@pass_cli_context
def list_(
    cli: CliContext,
    merchant_id: UUID | None,
    currency: str | None,
    after: UUID | None,
    limit: int,
    *,
    house: bool,
    as_json: bool,
) -> None:
    """List merchants' accounts, newest first; with --house, the system accounts: World and fees."""
    if house and merchant_id:
        raise click.UsageError("--house and --merchant exclude each other.")
    if house and after:
        raise click.UsageError("--house and --after exclude each other.")
    if house:
        accounts, next_cursor = _list_system_accounts(cli, currency)[:limit], None
    else:
        accounts = cli.application.admin.list_accounts(limit, merchant_id, currency, after)
        next_cursor = find_next_cursor(accounts, limit)
    if as_json:
        items = [account_to_json(account) for account in accounts]
        print_json({"accounts": items, "nextCursor": next_cursor})
    else:
        click.echo(render_accounts(accounts))
        print_next_page(next_cursor)


@accounts.command()
@click.argument("account_id", type=UuidParam(), metavar="ID")
@limit_option
@json_option
@pass_cli_context
def show(cli: CliContext, account_id: UUID, limit: int, *, as_json: bool) -> None:
    """Show any account and its last entries."""
    details = cli.application.admin.get_account(account_id, limit)
    account, entries = details.account, details.entries
    if as_json:
        last_entries = [_entry_to_json(entry) for entry in entries]
        print_json({**account_to_json(account), "lastEntries": last_entries})
        return
    currency = account.currency
    click.echo(
        render_fields(
            [
                ("Account", account.id),
                ("Name", account.name),
                ("Merchant", account.merchant_id or "none: a system account"),
                ("Type", f"{account.type}, normal side {account.normal_side}"),
                ("Status", account.status),
                ("Opened", format_time(account.created_at)),
                ("Balance", format_money(account.balance, currency)),
                ("Pending in", format_money(account.pending_in, currency)),
                ("Pending out", format_money(account.pending_out, currency)),
                ("Available", format_money(account.available, currency)),
                ("Entries", account.sequence),
            ]
        )
    )
    if entries:
        headings = ("Entry", "Posted", "Kind", "Amount", "Balance", "Currency", "Payment", "Refund")
        rows = [_build_entry_row(entry, currency) for entry in entries]
        click.echo(f"\n{render_table(headings, rows, right={'Entry', 'Amount', 'Balance'})}")


@accounts.command()
@json_option
@pass_cli_context
def heads(cli: CliContext, *, as_json: bool) -> None:
    """Print the sequence and head of every account: the end of its hash chain.

    Keep them with a backup, in another place. A comparison with kept heads shows a chain that was
    rewritten or cut short, which `atomic verify` cannot see.
    """
    rows = [
        (id, sequence, head.hex())
        for id, sequence, head in cli.application.admin.list_account_heads()
    ]
    if as_json:
        names = ("id", "sequence", "head")
        print_json({"accounts": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    click.echo(render_table(("ID", "Sequence", "Head"), rows, right={"Sequence"}))


def _list_system_accounts(cli: CliContext, currency: str | None) -> list[Account]:
    return [
        account
        for code, system_accounts in cli.application.admin.get_system_accounts().items()
        for account in (system_accounts.world, system_accounts.fees)
        if account and account.has_activity and currency in (None, code)
    ]


def render_accounts(accounts: Sequence[Account]) -> str:
    return render_table(
        _HEADINGS, [_build_row(account) for account in accounts], right=_RIGHT_ALIGNED
    )


def _build_row(account: Account) -> tuple[object, ...]:
    amounts = (account.balance, account.pending_in, account.pending_out, account.available)
    formatted = (format_minor_units(amount, account.currency) for amount in amounts)
    return account.id, account.type, *formatted, account.currency, account.name


def _build_entry_row(entry: AccountEntry, currency: str) -> tuple[object, ...]:
    return (
        entry.sequence,
        format_time(entry.posted_at),
        entry.kind,
        format_minor_units(entry.amount, currency),
        format_minor_units(entry.balance_after, currency),
        currency,
        entry.payment_id,
        entry.refund_id,
    )


def _entry_to_json(entry: AccountEntry) -> dict[str, object]:
    return {
        "sequence": entry.sequence,
        "transactionId": entry.transaction_id,
        "paymentId": entry.payment_id,
        "refundId": entry.refund_id,
        "kind": entry.kind,
        "amount": entry.amount,
        "balanceAfter": entry.balance_after,
        "postedAt": entry.posted_at,
    }


def account_to_json(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "merchantId": account.merchant_id,
        "name": account.name,
        "currency": account.currency,
        "exponent": CURRENCY_EXPONENTS[account.currency],
        "type": account.type,
        "normalSide": account.normal_side,
        "balance": account.balance,
        "pending": {"in": account.pending_in, "out": account.pending_out},
        "available": account.available,
        "status": account.status,
        "minBalance": account.min_balance,
        "maxBalance": account.max_balance,
        "externalId": account.external_id,
        "entries": account.sequence,
        "createdAt": account.created_at,
    }
