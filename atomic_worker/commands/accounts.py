"""`atomic accounts …`"""

from collections.abc import Sequence
from uuid import UUID

import click

from atomic_core.domain.accounts import Account
from atomic_core.domain.lists import AccountEntry
from atomic_core.domain.money import CURRENCY_EXPONENTS, format_minor_units
from atomic_worker.commands.console import Id, Listing, Toolbox, as_json, limit, say_json, tools
from atomic_worker.commands.tables import facts, moment, money, table

_HEADINGS = ("ID", "Type", "Balance", "Pending in", "Pending out", "Available", "Currency", "Name")
_NUMBERS = frozenset({"Balance", "Pending in", "Pending out", "Available"})


@click.group(cls=Listing)
def accounts() -> None:
    """List accounts and show what is in them.

    Amounts are in units, such as 12.34 USD. --json has minor units.
    """


@accounts.command("list")
@click.option("--merchant", "merchant_id", type=Id(), help="Only this merchant's.")
@click.option("--currency", metavar="CODE", help="Only those in this currency.")
@click.option("--house", is_flag=True, help="The house's own that were used, by currency.")
@limit
@as_json
@tools
def list_(
    box: Toolbox,
    merchant_id: UUID | None,
    currency: str | None,
    limit: int,
    *,
    house: bool,
    as_json: bool,
) -> None:
    """List merchants' accounts, newest first; or with --house the house's own: World and fees."""
    if house and merchant_id:
        raise click.UsageError("--house and --merchant exclude each other.")
    if house:
        found = _of_house(box, currency)[:limit]
    else:
        found = box.application.admin.list_accounts(limit, merchant_id, currency)
    if as_json:
        say_json({"accounts": [described(account) for account in found]})
    else:
        click.echo(accounts_table(found))


@accounts.command()
@click.argument("account_id", type=Id(), metavar="ID")
@limit
@as_json
@tools
def show(box: Toolbox, account_id: UUID, limit: int, *, as_json: bool) -> None:
    """Show an account, anybody's, and its last entries."""
    file = box.application.admin.get_account(account_id, limit)
    account, entries = file.account, file.entries
    if as_json:
        listed = [_described_entry(entry) for entry in entries]
        say_json({**described(account), "lastEntries": listed})
        return
    currency = account.currency
    click.echo(
        facts(
            [
                ("Account", account.id),
                ("Name", account.name),
                ("Merchant", account.merchant_id or "none: the house's own"),
                ("Type", f"{account.type}, normal side {account.normal_side}"),
                ("Opened", moment(account.created_at)),
                ("Balance", money(account.balance, currency)),
                ("Pending in", money(account.pending_in, currency)),
                ("Pending out", money(account.pending_out, currency)),
                ("Available", money(account.available, currency)),
                ("Entries", account.sequence),
            ]
        )
    )
    if entries:
        headings = ("Entry", "Posted", "Kind", "Amount", "Balance", "Currency", "Payment", "Refund")
        rows = [_entry_row(entry, currency) for entry in entries]
        click.echo(f"\n{table(headings, rows, right={'Entry', 'Amount', 'Balance'})}")


def _of_house(box: Toolbox, currency: str | None) -> list[Account]:
    return [
        account
        for code, own in box.application.admin.get_system_accounts().items()
        for account in (own.world, own.fees)
        if account and account.has_activity and currency in (None, code)
    ]


def accounts_table(found: Sequence[Account]) -> str:
    return table(_HEADINGS, [_row(account) for account in found], right=_NUMBERS)


def _row(account: Account) -> tuple[object, ...]:
    amounts = (account.balance, account.pending_in, account.pending_out, account.available)
    shown = (format_minor_units(amount, account.currency) for amount in amounts)
    return account.id, account.type, *shown, account.currency, account.name


def _entry_row(entry: AccountEntry, currency: str) -> tuple[object, ...]:
    return (
        entry.sequence,
        moment(entry.posted_at),
        entry.kind,
        format_minor_units(entry.amount, currency),
        format_minor_units(entry.balance_after, currency),
        currency,
        entry.payment_id,
        entry.refund_id,
    )


def _described_entry(entry: AccountEntry) -> dict[str, object]:
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


def described(account: Account) -> dict[str, object]:
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
        "entries": account.sequence,
        "createdAt": account.created_at,
    }
