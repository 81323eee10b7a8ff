"""Balance transactions of Stripe's disputes as lines of a statement."""

from typing import Any
from uuid import UUID

import stripe

from atomic_adapters.networks.stripe.statement import build_line
from atomic_core.domain.reconciliation import LineKind

PAYMENT = UUID(int=7)
DISPUTE = {
    "id": "du_1",
    "object": "dispute",
    "amount": 5_000,
    "currency": "usd",
    "payment_intent": {"id": "pi_1", "object": "payment_intent", "metadata": {}},
}


def build_transaction(source: Any, **changes: Any) -> stripe.BalanceTransaction:
    values = {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": -5_000,
        "fee": 1_500,
        "currency": "usd",
        "created": 1_800_000_000,
        "type": "adjustment",
        "source": source,
    }
    return stripe.BalanceTransaction.construct_from({**values, **changes}, None)


def dispute_of_ours() -> Any:
    intent = {**DISPUTE["payment_intent"], "metadata": {"atomic_payment": str(PAYMENT)}}
    return {**DISPUTE, "payment_intent": intent}


def test_withdrawal_contains_its_fee() -> None:
    line = build_line(build_transaction(dispute_of_ours()))
    assert (line.kind, line.amount, line.currency, line.fee) == (LineKind.DISPUTE, -6_500, "USD", 0)
    assert (line.reference, line.payment_id) == ("du_1", PAYMENT)
    assert line.get_item() == (PAYMENT, ("du_1", False))


def test_return_is_another_item() -> None:
    line = build_line(build_transaction(dispute_of_ours(), amount=5_000, fee=-1_500))
    assert (line.amount, line.get_item()) == (6_500, (PAYMENT, ("du_1", True)))


def test_fee_in_another_currency_is_not_posted() -> None:
    transaction = build_transaction(dispute_of_ours(), amount=-4_600, fee=1_400, currency="eur")
    line = build_line(transaction)
    assert (line.amount, line.currency) == (-5_000, "USD")
    assert (line.fee, line.fee_currency) == (1_400, "EUR")
    returned = build_line(build_transaction(dispute_of_ours(), amount=4_600, fee=0, currency="eur"))
    assert (returned.amount, returned.fee) == (5_000, 0)


def test_dispute_of_another_program_has_no_payment() -> None:
    line = build_line(build_transaction(DISPUTE))
    assert (line.kind, line.payment_id, line.get_item()) == (LineKind.DISPUTE, None, None)


def test_other_adjustments_are_counted() -> None:
    for source in (None, "du_1", {"id": "ch_1", "object": "charge", "currency": "usd"}):
        assert build_line(build_transaction(source)).kind is LineKind.OTHER
    fee = build_transaction(dispute_of_ours(), type="stripe_fee")
    assert build_line(fee).kind is LineKind.OTHER
