"""The model that both stores are held against: payments, refunds and balances in plain numbers, and
what one settler makes of them. No entries, no hashes, no time but an order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.money import MAX_AMOUNT

BATCH = 3
"""Of which one may be a refund."""

CHARGE = ("charge", "authorize")

REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "tok_chargeDeclined": (CHARGE, "card_declined"),
    "tok_chargeDeclinedProcessingError": (CHARGE, "processing_error"),
    "tok_captureDeclined": (("capture",), "capture_declined"),
    "tok_captureProcessingError": (("capture",), "processing_error"),
    "tok_refundDeclined": (("refund",), "refund_declined"),
    "tok_refundProcessingError": (("refund",), "processing_error"),
}
"""What the network refuses, and why in the end."""

SLOW = "tok_slow"

PATIENCE = 3
"""How often a faulty network is tried, and by when a slow one has decided."""


@dataclass
class Balance:
    posted: int = 0
    coming: int = 0
    going: int = 0

    def has_room(self, amount: int) -> bool:
        return self.posted + self.coming + amount <= MAX_AMOUNT


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
    wanted: int | None = None
    fee: int = 0
    reserved: int = 0
    refunded: int = 0
    attempt: int = 0
    faults: int = 0
    promised: bool = False

    @property
    def told(self) -> tuple[object, ...]:
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

    def accept(self, row: Row) -> None:
        self.payments[row.id] = row
        self.balances.setdefault(row.account, Balance())
        self.due.append(row)

    def resolve(self, rows: Iterable[Row], step: str, amount: int | None = None) -> None:
        """What is decided at one moment is due in the order of the ids."""
        for row in sorted(rows, key=lambda row: row.id):
            row.status, row.step, row.wanted = "PROCESSING", step, amount
            row.attempt, row.faults = row.attempt + 1, 0
            self.due.append(row)

    def held(self) -> list[Row]:
        return [row for row in self.payments.values() if row.status == "AUTHORIZED"]

    def refund(self, id: UUID, payment: Row, amount: int) -> None:
        owner, source = payment.owner, payment.source
        row = Row(id, payment.account, amount, source, "refund", owner, payment)
        payment.reserved += amount
        self.refunds[id] = row
        self.due_refunds.append(row)

    def claim(self, limit: int) -> None:
        """Somebody takes some up, and dies."""
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
            promised = [row for row in refunds if row.promised or self._promise(row)]
            again = [row for row in payments if not self._settle(row)]
            again_too = [row for row in promised if not self._give_back(row)]
            self.due += sorted(again, key=lambda row: row.id)
            self.due_refunds += again_too
            total += len(refunds) + len(payments)
            if not refunds and len(payments) < room:
                return total

    def _promise(self, row: Row) -> bool:
        balance = self.balances[row.account]
        if balance.posted - balance.going < row.amount:
            row.status, row.reason = "FAILED", "insufficient_balance"
            assert row.payment
            row.payment.reserved -= row.amount
            return False
        balance.going += row.amount
        row.promised = True
        return True

    def _give_back(self, row: Row) -> bool:
        """Whether that is decided now."""
        refusal, decided = self._asked(row)
        if not decided:
            return False
        balance = self.balances[row.account]
        balance.going -= row.amount
        assert row.payment
        if refusal:
            row.status, row.reason = "FAILED", refusal
            row.payment.reserved -= row.amount
        else:
            balance.posted -= row.amount
            row.status = "SUCCESS"
            row.payment.refunded += row.amount
        return True

    @staticmethod
    def _asked(row: Row) -> tuple[str | None, bool]:
        """Why the network refuses, and whether it has decided."""
        if row.source == SLOW:
            return None, row.attempt % PATIENCE == 0
        steps, reason = REFUSALS.get(row.source, ((), ""))
        if row.step not in steps:
            return None, True
        if reason == "processing_error":
            row.faults += 1
            return reason, row.faults == PATIENCE
        return reason, True

    def _settle(self, row: Row) -> bool:
        """Whether that is decided now."""
        refusal, decided = self._asked(row)
        if decided:
            self._decide(row, refusal)
        return decided

    def _decide(self, row: Row, refusal: str | None) -> None:
        balance = self.balances[row.account]
        if refusal:
            row.status, row.reason = "FAILED", refusal
            balance.coming -= row.amount if row.step == "capture" else 0
        elif row.step == "charge":
            self._take(row, row.amount)
        elif row.step == "authorize":
            if balance.has_room(row.amount):
                balance.coming += row.amount
                row.status = "AUTHORIZED"
            else:
                row.status, row.reason = "FAILED", "balance_overflow"
        else:
            balance.coming -= row.amount
            if row.step == "capture":
                self._take(row, row.amount if row.wanted is None else row.wanted)
            else:
                row.status = "CANCELED"

    def _take(self, row: Row, amount: int) -> None:
        fee = self.terms.get(row.owner, FeeTerms()).compute_fee(amount)
        balance = self.balances[row.account]
        if not balance.has_room(amount - fee):
            row.status, row.reason = "FAILED", "balance_overflow"
            return
        balance.posted += amount - fee
        row.status, row.captured, row.fee = "SUCCESS", amount, fee
