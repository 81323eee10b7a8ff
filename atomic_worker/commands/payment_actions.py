"""`atomic payments create`, `capture`, `cancel` and `refund`: what a merchant does by the API."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import click

from atomic_core.domain.errors import UnknownTestToken
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.merchants import contains_secret
from atomic_core.domain.money import MAX_AMOUNT, Money
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import REASON_REQUESTED_BY_MERCHANT, CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.operator_commands import AuditedCommand
from atomic_worker.commands.console import (
    CliContext,
    ReasonParam,
    UuidParam,
    dump_json,
    json_option,
    operator_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.keys import merchant_option
from atomic_worker.commands.payment_details import payment_to_json, refund_to_json
from atomic_worker.commands.tables import format_money

PATH: Final = "/api/v1/payments"

_SOURCE: Final = re.compile(r"(?:tok|pm)_[A-Za-z0-9_]{1,60}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

Request = TypeVar("Request", NewPayment, CaptureRequest, CancelRequest, NewRefund)


class PatternParam(click.ParamType):
    """A text that matches a pattern and contains no API key."""

    name = "text"

    def __init__(self, pattern: re.Pattern[str], expected: str) -> None:
        self._pattern = pattern
        self._expected = expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(value) or contains_secret(value):
            self.fail(f"Must be {self._expected}.", param, ctx)
        return value


_amount: Final = click.IntRange(1, MAX_AMOUNT)

key_option = click.option(
    "--idempotency-key",
    "key",
    type=PatternParam(_KEY, "1 to 255 visible ASCII characters, and no API key"),
    default=lambda: f"operator-{uuid4()}",
    show_default="a new one, which is printed",
    help="Repeat a command with the key of the first time, and it takes effect once.",
)
payment_argument = click.argument("payment_id", type=UuidParam(), metavar="ID")


@click.command()
@merchant_option
@click.option("--amount", type=_amount, required=True, help="In minor units, such as cents.")
@click.option("--currency", metavar="CODE", required=True, help="ISO 4217, such as USD.")
@click.option(
    "--source",
    type=PatternParam(_SOURCE, "a token, such as tok_visa"),
    default="tok_visa",
    show_default=True,
    help="The token of the card.",
)
@click.option("--description", type=ReasonParam(), default="API Payment", show_default=True)
@click.option("--manual", is_flag=True, help="Place a hold, to be captured or canceled later.")
@key_option
@operator_option
@json_option
@pass_cli_context
def create(
    cli: CliContext,
    merchant_id: UUID,
    amount: int,
    currency: str,
    source: str,
    description: str,
    key: str,
    origin: Origin,
    *,
    manual: bool,
    as_json: bool,
) -> None:
    """Create a payment for a merchant. Audited."""
    if currency not in cli.settings.currencies:
        raise click.BadParameter(
            "Is not the code of an enabled currency, such as USD.", param_hint="--currency"
        )
    meant_token = cli.application.payments.find_meant_source(source)
    if meant_token is not None:
        raise UnknownTestToken(
            details={"source": [f"Is no test token. Did you mean {meant_token}?"]}
        )
    capture = CaptureMethod.MANUAL if manual else CaptureMethod.AUTOMATIC
    new_payment = NewPayment(
        merchant_id,
        Money(amount, currency),
        source,
        description,
        idempotency_key=key,
        capture=capture,
        origin=origin,
    )
    content = {
        "amount": amount,
        "currency": currency,
        "source": source,
        "description": description,
        "capture": capture,
    }
    _perform(cli, cli.application.admin.create_payment, new_payment, PATH, key, content, as_json)


@click.command()
@payment_argument
@click.option(
    "--amount", type=_amount, help="In minor units. Default: the whole hold. The rest is released."
)
@key_option
@operator_option
@json_option
@pass_cli_context
def capture(
    cli: CliContext,
    payment_id: UUID,
    amount: int | None,
    key: str,
    origin: Origin,
    *,
    as_json: bool,
) -> None:
    """Capture an authorized payment. Audited."""
    request = CaptureRequest(_find_merchant(cli, payment_id), payment_id, amount, origin)
    path, command = f"{PATH}/{payment_id}/capture", cli.application.admin.capture_payment
    _perform(cli, command, request, path, key, {"amount": amount}, as_json)


@click.command()
@payment_argument
@click.option("--reason", type=ReasonParam(), default=REASON_REQUESTED_BY_MERCHANT)
@key_option
@operator_option
@json_option
@pass_cli_context
def cancel(
    cli: CliContext, payment_id: UUID, reason: str, key: str, origin: Origin, *, as_json: bool
) -> None:
    """Cancel an authorized payment: its hold is released. Audited."""
    request = CancelRequest(_find_merchant(cli, payment_id), payment_id, reason, origin)
    path, command = f"{PATH}/{payment_id}/cancel", cli.application.admin.cancel_payment
    _perform(cli, command, request, path, key, {"reason": reason}, as_json)


@click.command()
@payment_argument
@click.option(
    "--amount", type=_amount, help="In minor units. Default: all that is not refunded yet."
)
@click.option("--reason", type=ReasonParam(), help="Why, which the merchant can read.")
@key_option
@operator_option
@json_option
@pass_cli_context
def refund(
    cli: CliContext,
    payment_id: UUID,
    amount: int | None,
    reason: str | None,
    key: str,
    origin: Origin,
    *,
    as_json: bool,
) -> None:
    """Refund a payment, in whole or in part. Audited."""
    request = NewRefund(
        _find_merchant(cli, payment_id),
        payment_id,
        amount,
        reason,
        idempotency_key=key,
        origin=origin,
    )
    content = {"amount": amount, "reason": reason}
    path, command = f"{PATH}/{payment_id}/refunds", cli.application.admin.create_refund
    _perform(cli, command, request, path, key, content, as_json)


PAYMENT_ACTIONS: Final = (create, capture, cancel, refund)


def _find_merchant(cli: CliContext, payment_id: UUID) -> UUID:
    return cli.application.admin.get_payment(payment_id).admin_payment.payment.merchant_id


def _perform(
    cli: CliContext,
    command: AuditedCommand[Request, Any],
    request: Request,
    path: str,
    key: str,
    content: Mapping[str, object],
    as_json: bool,  # noqa: FBT001
) -> None:
    """Execute the command once per key, and print the payment or refund as it was then."""
    # A request of the API is never the same one: it has another form.
    canonical = json.dumps({"operator": content}, sort_keys=True)
    fingerprint = hashlib.sha256(f"POST {path}\n{canonical}".encode()).digest()
    retention = cli.settings.idempotency_retention
    idempotent = IdempotentRequest(request.merchant_id, key, "POST", path, fingerprint, retention)

    def render(result: Any) -> StoredResponse:
        is_refund = isinstance(request, NewRefund)
        data = refund_to_json(result) if is_refund else payment_to_json(result)
        body = dump_json({"success": True, "data": data}).encode()
        collection = "/api/v1/refunds" if is_refund else PATH
        return StoredResponse(202, body, f"{collection}/{result.id}")

    perform_once = cli.application.idempotency.perform_once
    result = perform_once(idempotent, command, request, render)
    data = json.loads(result.response.body)["data"]
    if as_json:
        print_json({**data, "idempotencyKey": key, "replayed": result.replayed})
        return
    kind = "refund" if isinstance(request, NewRefund) else "payment"
    money = format_money(data["amount"], data["currency"])
    again = ", as before" if result.replayed else ""
    click.echo(f"The {kind} {data['id']} of {money} is {data['status']}{again}.")
    click.echo(f"Idempotency key  {key}")
