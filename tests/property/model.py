"""The model of payments, refunds and balances that both stores are compared with. One worker
settles; there are no entries, hashes or times, only an order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import MAX_AMOUNT

BATCH = 3
"""Claims per batch, at most one of them a refund."""

CHARGE = ("charge", "authorize")

REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "tok_chargeDeclined": (CHARGE, "card_declined"),
    "tok_chargeDeclinedProcessingError": (CHARGE, "processing_error"),
    "tok_captureDeclined": (("capture",), "capture_declined"),
    "tok_captureProcessingError": (("capture",), "processing_error"),
    "tok_refundDeclined": (("refund",), "refund_declined"),
    "tok_refundProcessingError": (("refund",), "processing_error"),
}
"""By source: the steps that the network refuses, and the failure reason."""

UNDECIDED_SOURCE = "tok_slow"

DECIDING_ATTEMPT = 3
"""Every third attempt, an undecided network decides."""


@dataclass
class Balance:
    posted: int = 0
    incoming: int = 0
    outgoing: int = 0

    def has_room(self, amount: int) -> bool:
        return self.posted + self.incoming + amount <= MAX_AMOUNT


@dataclass
class Row:
    """A payment, or a refund of `payment`."""

    id: UUID
    account: UUID
    amount: int
    source: str
    step: str
    owner: tuple[UUID, str]
    payment: "Row | None" = None
    status: str = "PENDING"
    reason: str | None = None
    captured: int = 0
    capture_amount: int | None = None
    fee: int = 0
    reserved: int = 0
    refunded: int = 0
    attempt: int = 0
    reversal_reason: str = ""
    has_hold: bool = False

    @property
    def state(self) -> tuple[object, ...]:
        return (
            *(self.status, self.reason, self.step),
            *(self.captured, self.fee, self.reserved, self.refunded),
        )


@dataclass
class Model:
    payments: dict[UUID, Row] = field(default_factory=dict)
    refunds: dict[UUID, Row] = field(default_factory=dict)
    balances: dict[UUID, Balance] = field(default_factory=dict)
    terms: dict[tuple[UUID, str], FeeTerms] = field(default_factory=dict)
    due: list[Row] = field(default_factory=list)
    due_refunds: list[Row] = field(default_factory=list)

    def insert(self, row: Row) -> None:
        self.payments[row.id] = row
        self.balances.setdefault(row.account, Balance())
        self.due.append(row)

    def resolve_holds(self, rows: Iterable[Row], step: str, amount: int | None = None) -> None:
        """Payments that are resolved together are due in id order."""
        for row in sorted(rows, key=lambda row: row.id):
            row.status, row.step, row.capture_amount = "PROCESSING", step, amount
            row.attempt += 1
            self.due.append(row)

    def list_authorized(self) -> list[Row]:
        return [row for row in self.payments.values() if row.status == "AUTHORIZED"]

    def insert_refund(self, id: UUID, payment: Row, amount: int) -> None:
        owner, source = payment.owner, payment.source
        row = Row(id, payment.account, amount, source, "refund", owner, payment)
        payment.reserved += amount
        self.refunds[id] = row
        self.due_refunds.append(row)

    def claim(self, limit: int) -> None:
        """A worker claims items and dies."""
        for row in (*self.due[:limit], *self.due_refunds[:limit]):
            row.status = "PROCESSING"
            row.attempt += 1

    def settle(self) -> int:
        total = 0
        while True:
            refunds = self.due_refunds[:1]
            room = BATCH - len(refunds)
            payments = self.due[:room]
            del self.due_refunds[:1], self.due[:room]
            for row in (*payments, *refunds):
                row.status = "PROCESSING"
                row.attempt += 1
            reserved = [row for row in refunds if row.has_hold or self._reserve(row)]
            open_payments = [row for row in payments if not self._settle(row)]
            open_refunds = [row for row in reserved if not self._refund(row)]
            self.due += sorted(open_payments, key=lambda row: row.id)
            self.due_refunds += open_refunds
            total += len(refunds) + len(payments)
            if not refunds and len(payments) < room:
                return total

    def _reserve(self, row: Row) -> bool:
        balance = self.balances[row.account]
        if balance.posted - balance.outgoing < row.amount:
            row.status, row.reason = "FAILED", "insufficient_balance"
            assert row.payment
            row.payment.reserved -= row.amount
            return False
        balance.outgoing += row.amount
        row.has_hold = True
        return True

    def _refund(self, row: Row) -> bool:
        """Returns whether the network has decided."""
        reason, is_decided = self._call_network(row)
        if not is_decided:
            return False
        balance = self.balances[row.account]
        balance.outgoing -= row.amount
        assert row.payment
        if reason:
            row.status, row.reason = "FAILED", reason
            row.payment.reserved -= row.amount
        else:
            balance.posted -= row.amount
            row.status = "SUCCESS"
            row.payment.refunded += row.amount
        return True

    @staticmethod
    def _call_network(row: Row) -> tuple[str | None, bool]:
        """The failure reason, if any, and whether the network has decided."""
        if row.source == UNDECIDED_SOURCE:
            return None, row.attempt % DECIDING_ATTEMPT == 0
        steps, reason = REFUSALS.get(row.source, ((), ""))
        return (reason if row.step in steps else None), True

    def _settle(self, row: Row) -> bool:
        """Returns whether its step has ended, and no reversal has begun."""
        reason, is_decided = self._call_network(row)
        if is_decided:
            self._decide(row, reason)
        return row.status != "PROCESSING"

    def _decide(self, row: Row, reason: str | None) -> None:
        balance = self.balances[row.account]
        if row.step == "reverse":
            row.status, row.reason = "FAILED", row.reversal_reason
            # What was captured in part was held.
            balance.incoming -= 0 if row.capture_amount is None else row.amount
        elif reason and row.step == "capture":
            row.step, row.reversal_reason = "reverse", reason
        elif reason:
            row.status, row.reason = "FAILED", reason
        elif row.step == "charge":
            self._capture(row, row.amount)
        elif row.step == "authorize":
            if balance.has_room(row.amount):
                balance.incoming += row.amount
                row.status = "AUTHORIZED"
            else:
                row.step, row.reversal_reason = "reverse", "balance_overflow"
        else:
            balance.incoming -= row.amount
            if row.step == "capture":
                self._capture(row, row.amount if row.capture_amount is None else row.capture_amount)
            else:
                row.status = "CANCELED"

    def _capture(self, row: Row, amount: int) -> None:
        fee = self.terms.get(row.owner, FeeTerms()).compute_fee(amount)
        balance = self.balances[row.account]
        if not balance.has_room(amount - fee):
            row.step, row.reversal_reason = "reverse", "balance_overflow"
            return
        balance.posted += amount - fee
        row.status, row.captured, row.fee = "SUCCESS", amount, fee
