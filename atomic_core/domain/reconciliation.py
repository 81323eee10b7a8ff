"""Reconciliation: what a card network's statement lists, beside what the ledger has posted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class LineKind(StrEnum):
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    """Money that a dispute has withdrawn, or returned."""
    OTHER = "other"
    """A payout, a fee, a correction: the ledger does not post it."""


Item = tuple[UUID, UUID | tuple[str, bool] | None]
"""What is posted once: a payment, one of its refunds, or what a dispute with this reference has
withdrawn or, if True, returned."""


class StatementLine(NamedTuple):
    """One line of a card network's statement."""

    id: str
    """The network's."""
    kind: LineKind
    type: str
    """The network's own word, such as `payout`."""
    reference: str | None
    """The network's id of the charged payment, of the refund, or of the dispute."""
    payment_id: UUID | None
    """Ours, as the network keeps it. None if it has none: Atomic has not requested it."""
    refund_id: UUID | None
    amount: int | None
    """Minor units of ISO 4217; negative if it was paid out. Of a dispute with the network's fee, as
    far as that is posted. None if it is no whole number of them."""
    currency: str
    fee: int
    """Of the network, not posted, in its own minor units of `fee_currency`."""
    fee_currency: str
    created_at: datetime

    def get_item(self) -> Item | None:
        """None if the network does not know a payment of ours."""
        if self.payment_id is None:
            return None
        if self.kind is LineKind.DISPUTE:
            return self.payment_id, (self.reference or "", (self.amount or 0) > 0)
        return self.payment_id, self.refund_id if self.kind is LineKind.REFUND else None


class Posting(NamedTuple):
    """A ledger transaction of a payment, or of one of its refunds or disputes."""

    transaction_id: UUID
    payment_id: UUID
    refund_id: UUID | None
    amount: int
    """Minor units, with the sign of a statement: negative for a refund."""
    currency: str
    dispute_reference: str | None = None
    """The network's id of the dispute."""

    def get_item(self) -> Item:
        if self.dispute_reference is not None:
            return self.payment_id, (self.dispute_reference, self.amount > 0)
        return self.payment_id, self.refund_id


class BookedPayment(NamedTuple):
    """What is known here of a payment."""

    payment_id: UUID
    merchant_id: UUID
    network: str
    network_reference: str | None
    status: str
    currency: str
    net_amount: int
    """What its ledger transactions add up to, in minor units: captured, less refunded, less what
    disputes have withdrawn and not returned."""
    open_ids: Sequence[UUID]
    """The payment or those of its refunds that are not settled yet."""


class DifferenceKind(StrEnum):
    MISSING_HERE = "missing_here"
    """The network has moved money that the ledger has not posted."""
    MISSING_THERE = "missing_there"
    """The ledger has posted what the network has not."""
    AMOUNT = "amount_differs"
    IN_DOUBT = "in_doubt"
    """The payment or one of its refunds is not settled yet, which explains the difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Amounts are in minor units: what the network has taken for this payment and not returned, and
    the same by the ledger. `there` is None if the network's amount cannot be expressed so."""

    kind: DifferenceKind
    currency: str
    there: int | None
    here: int
    reference: str | None = None
    line_id: str | None = None
    payment_id: UUID | None = None
    merchant_id: UUID | None = None
    status: str | None = None
    open_ids: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """The result of one run. `differences` has at most MAX_DIFFERENCES; `difference_count` counts
    all of them."""

    id: UUID
    network: str
    begin: datetime
    end: datetime
    """Exclusive."""
    is_scheduled: bool
    created_at: datetime
    lines: int
    """Of the statement."""
    matched: int
    """Lines with a ledger transaction of the same amount."""
    other: Mapping[str, int] = field(default_factory=dict)
    """Lines that the ledger does not post, by the network's type."""
    fees: Mapping[str, int] = field(default_factory=dict)
    """The network's fees by currency."""
    difference_count: int = 0
    in_doubt_count: int = 0
    """Explained by payments and refunds that are open; not in `difference_count`."""
    unchecked: int = 0
    """Lines and ledger transactions that did not match and were not looked up, because there were
    too many."""
    differences: Sequence[Difference] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs but what is not settled yet."""
        return not self.difference_count and not self.unchecked


def compare_payment(
    payment: BookedPayment, there: int | None, line_id: str | None = None
) -> Difference | None:
    """What differs between the net amount that the network has of a payment and ours."""
    here = payment.net_amount
    if there == here:
        return None
    if payment.open_ids:
        kind = DifferenceKind.IN_DOUBT
    elif there == 0:
        kind = DifferenceKind.MISSING_THERE
    elif here == 0 and there is not None:
        kind = DifferenceKind.MISSING_HERE
    else:
        kind = DifferenceKind.AMOUNT
    return Difference(
        kind,
        payment.currency,
        there,
        here,
        payment.network_reference,
        line_id,
        payment.payment_id,
        payment.merchant_id,
        payment.status,
        tuple(payment.open_ids),
    )


def report_foreign_line(line: StatementLine) -> Difference:
    """A line of which nothing is known here."""
    kind, reference = DifferenceKind.MISSING_HERE, line.reference
    return Difference(kind, line.currency, line.amount, 0, reference, line.id, line.payment_id)
