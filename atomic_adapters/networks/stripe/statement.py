"""Stripe's balance transactions as a statement, and what it has of one payment."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import stripe

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe.amounts import from_stripe_amount
from atomic_adapters.networks.stripe.dispute_movements import is_of_dispute, read_movement
from atomic_adapters.networks.stripe.errors import describe_error, is_refusal
from atomic_adapters.networks.stripe.fields import read_number, read_text
from atomic_adapters.networks.stripe.http_client import StripeHttpClient, time_limit
from atomic_adapters.networks.stripe.requests import PAGE, PAYMENT, REFUND, find_intents_of
from atomic_core.domain.errors import NetworkUnavailable
from atomic_core.domain.reconciliation import BookedPayment, LineKind, StatementLine

REQUEST_SECONDS: Final = 30.0
"""Of one request: a page with expanded objects takes Stripe a second or two."""

PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each repetition of a request: bridges a rate limit and a short fault."""

KINDS: Final[Mapping[str, LineKind]] = {
    "charge": LineKind.CHARGE,
    "payment": LineKind.CHARGE,
    "refund": LineKind.REFUND,
    "payment_refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND,
    "payment_failure_refund": LineKind.REFUND,
}
"""By the type of a balance transaction (https://docs.stripe.com/reports/balance-transaction-types).
What is not here is no payment."""

UNPAID_REFUNDS: Final = ("failed", "canceled")

T = TypeVar("T")


class StripeStatement:
    """Connects at first use. Each method raises NetworkUnavailable."""

    def __init__(
        self, settings: StripeSettings, pause: Callable[[float], None] = time.sleep
    ) -> None:
        stripe.enable_telemetry = False
        self._http_client = StripeHttpClient(1)
        self._client = stripe.StripeClient(
            settings.secret_key,
            http_client=self._http_client,
            base_addresses={"api": settings.api_base},
            max_network_retries=0,
        )
        self._pause = pause

    def read(self, begin: datetime, end: datetime) -> Iterator[Sequence[StatementLine]]:
        """The newest lines first."""
        # A balance transaction has the time of its second.
        params: dict[str, Any] = {
            "created": {"gte": int(begin.timestamp()), "lt": int(end.timestamp())},
            "limit": PAGE,
            "expand": ["data.source.payment_intent"],
        }
        while True:
            page = self._request(partial(self._client.v1.balance_transactions.list, params))  # pyright: ignore[reportArgumentType]
            yield [build_line(transaction) for transaction in page.data]
            if not page.has_more or not page.data:
                return
            params = {**params, "starting_after": page.data[-1].id}

    def measure(self, payment: BookedPayment) -> int | None:
        """Of all its PaymentIntents: more than one may have been charged."""
        intents = self._request(
            lambda: find_intents_of(self._client, payment.payment_id, payment.network_reference)
        )
        net = sum(self._measure_intent(intent) for intent in intents)
        return from_stripe_amount(net, payment.currency)

    def close(self) -> None:
        self._http_client.close()

    def _measure_intent(self, intent: stripe.PaymentIntent) -> int:
        refunds = self._request(
            lambda: list(
                self._client.v1.refunds.list(
                    {"payment_intent": intent.id, "limit": PAGE}
                ).auto_paging_iter()
            )
        )
        returned = [refund for refund in refunds if refund.status not in UNPAID_REFUNDS]
        captured = intent.amount_received - sum(refund.amount for refund in returned)
        return captured + self._measure_disputes(intent)

    def _measure_disputes(self, intent: stripe.PaymentIntent) -> int:
        """What they have withdrawn and returned: negative, or zero."""
        disputes = self._request(
            lambda: list(
                self._client.v1.disputes.list(
                    {"payment_intent": intent.id, "limit": PAGE}
                ).auto_paging_iter()
            )
        )
        return sum(
            read_movement(transaction, dispute).amount
            for dispute in disputes
            for transaction in dispute.balance_transactions
        )

    def _request(self, request: Callable[[], T]) -> T:
        pauses = iter(PAUSES)
        while True:
            try:
                with time_limit(time.monotonic() + REQUEST_SECONDS):
                    return request()
            except stripe.StripeError as error:
                pause = None if is_refusal(error) else next(pauses, None)
                if pause is None:
                    raise NetworkUnavailable(
                        f"Stripe's records cannot be read: {describe_error(error)}."
                    ) from error
                self._pause(pause)


def build_line(transaction: stripe.BalanceTransaction) -> StatementLine:
    source: Any = transaction.source
    if is_of_dispute(transaction):
        return _build_dispute_line(transaction, source)
    kind = KINDS.get(transaction.type, LineKind.OTHER)
    payment_id = _read_id(source, "metadata", PAYMENT) or _read_id(
        source, "payment_intent", "metadata", PAYMENT
    )
    is_refund = kind is LineKind.REFUND
    reference = read_text(source, "id") if is_refund else read_text(source, "payment_intent", "id")
    amount, currency = _read_amount(transaction, kind, source)
    return StatementLine(
        transaction.id,
        kind,
        transaction.type,
        reference,
        payment_id,
        _read_id(source, "metadata", REFUND) if is_refund else None,
        from_stripe_amount(amount, currency),
        currency,
        transaction.fee,
        transaction.currency.upper(),
        datetime.fromtimestamp(transaction.created, UTC),
    )


def _build_dispute_line(transaction: stripe.BalanceTransaction, dispute: Any) -> StatementLine:
    movement = read_movement(transaction, dispute)
    currency = (read_text(dispute, "currency") or transaction.currency).upper()
    return StatementLine(
        transaction.id,
        LineKind.DISPUTE,
        transaction.type,
        read_text(dispute, "id"),
        _read_id(dispute, "payment_intent", "metadata", PAYMENT),
        None,
        from_stripe_amount(movement.amount, currency),
        currency,
        movement.unposted_fee,
        transaction.currency.upper(),
        datetime.fromtimestamp(transaction.created, UTC),
    )


def _read_amount(
    transaction: stripe.BalanceTransaction, kind: LineKind, source: Any
) -> tuple[int, str]:
    """In the currency of the payment: a balance transaction is in that of the account's balance."""
    currency = read_text(source, "currency") or transaction.currency
    if currency != transaction.currency:
        # Only then: the balance transaction is what has moved.
        captured = read_number(source, "amount_captured")
        if kind is LineKind.CHARGE and captured is not None:
            return captured, currency.upper()
        refunded = read_number(source, "amount")
        if kind is LineKind.REFUND and refunded is not None:
            return (-refunded if transaction.amount < 0 else refunded), currency.upper()
    return transaction.amount, transaction.currency.upper()


def _read_id(found: object, *names: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(read_text(found, *names) or "")
    return None
