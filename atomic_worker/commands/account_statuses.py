"""`atomic accounts freeze`, `close` and `reopen`."""

from typing import Final
from uuid import UUID

import click

from atomic_core.domain.accounts import AccountStatus
from atomic_core.domain.errors import Conflict
from atomic_core.domain.origins import Origin
from atomic_core.use_cases.accounts import AccountChange
from atomic_worker.commands.console import (
    CliContext,
    ReasonParam,
    UuidParam,
    json_option,
    operator_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.tables import format_time

account_argument = click.argument("account_id", type=UuidParam(), metavar="ID")
reason_option = click.option(
    "--reason",
    type=ReasonParam(),
    required=True,
    help="Why, for the audit log, which the merchant can read.",
)


@click.command()
@account_argument
@reason_option
@operator_option
@json_option
@pass_cli_context
def freeze(
    cli: CliContext, account_id: UUID, reason: str, origin: Origin, *, as_json: bool
) -> None:
    """Freeze a merchant's account: it takes no new payments and ledger transactions. Audited.

    What was reserved before is still posted, and disputes are. Safe to repeat.
    """
    _set_status(cli, account_id, AccountStatus.FROZEN, reason, origin, as_json=as_json)


@click.command()
@account_argument
@reason_option
@operator_option
@json_option
@pass_cli_context
def close(cli: CliContext, account_id: UUID, reason: str, origin: Origin, *, as_json: bool) -> None:
    """Close a merchant's account, which must be empty. Audited.

    Payments credit the merchant's next liability account. Safe to repeat.
    """
    _set_status(cli, account_id, AccountStatus.CLOSED, reason, origin, as_json=as_json)


@click.command()
@account_argument
@reason_option
@operator_option
@json_option
@pass_cli_context
def reopen(
    cli: CliContext, account_id: UUID, reason: str, origin: Origin, *, as_json: bool
) -> None:
    """Open a frozen or closed account again. Audited. Safe to repeat."""
    _set_status(cli, account_id, AccountStatus.OPEN, reason, origin, as_json=as_json)


ACCOUNT_STATUS_COMMANDS: Final = (freeze, close, reopen)


def _set_status(
    cli: CliContext,
    account_id: UUID,
    status: AccountStatus,
    reason: str,
    origin: Origin,
    *,
    as_json: bool,
) -> None:
    merchant_id = find_owner(cli, account_id)
    change = AccountChange(merchant_id, account_id, status=status, origin=origin, reason=reason)
    account = cli.application.accounts.change(change)
    if as_json:
        document = {
            "id": account.id,
            "merchantId": account.merchant_id,
            "status": account.status,
            "statusChangedAt": account.status_changed_at,
        }
        print_json(document)
        return
    since = format_time(account.status_changed_at)
    suffix = f" since {since}" if since else ""
    click.echo(f"The account {account.id} is {account.status}{suffix}.")


def find_owner(cli: CliContext, account_id: UUID) -> UUID:
    """The merchant of an account. Raises NotFound, and Conflict for a system account."""
    account = cli.application.admin.get_account(account_id, 1).account
    if account.merchant_id is None:
        raise Conflict("This is a system account. Give the id of a merchant's account.")
    return account.merchant_id
