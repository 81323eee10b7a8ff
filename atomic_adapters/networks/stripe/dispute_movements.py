"""Balance transactions of Stripe's disputes: what was withdrawn, or returned, and the fee."""

from typing import Any, Final, NamedTuple

from atomic_adapters.networks.stripe.fields import read_number, read_text

TYPE: Final = "adjustment"
"""Of a balance transaction of a dispute, and of others. The dispute is its source."""


class Movement(NamedTuple):
    """Amounts in Stripe's minor units."""

    amount: int
    """In the currency of the payment; negative if it was withdrawn. With the fee if that is in this
    currency, as the ledger posts it."""
    unposted_fee: int
    """In the currency of the balance transaction, which is not the payment's."""


def is_of_dispute(transaction: Any) -> bool:
    """Whether its source, which has to be expanded, is a dispute."""
    return transaction.type == TYPE and read_text(transaction.source, "object") == "dispute"


def read_movement(transaction: Any, dispute: Any) -> Movement:
    amount, fee = read_number(transaction, "amount") or 0, read_number(transaction, "fee") or 0
    if read_text(transaction, "currency") == read_text(dispute, "currency"):
        return Movement(amount - fee, 0)
    disputed = read_number(dispute, "amount") or 0
    return Movement(-disputed if amount < 0 else disputed, fee)
