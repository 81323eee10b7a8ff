"""A card network with books of its own that has a statement, with a line for each movement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import NetworkUnavailable
from atomic_core.domain.payments import Step
from atomic_core.domain.reconciliation import BookedPayment, LineKind, StatementLine
from atomic_core.domain.settlement import Claim
from bookkeeping_network import BookkeepingNetwork

PAGE: Final = 2
"""Lines per page: so few that most statements have several."""

FEE: Final = 3


@dataclass
class StatementNetwork(BookkeepingNetwork):
    lines: list[StatementLine] = field(default_factory=list)
    measured: list[UUID] = field(default_factory=list)
    """The payments that were looked up."""
    is_available: bool = True

    def read(self, begin: datetime, end: datetime) -> Iterator[Sequence[StatementLine]]:
        self._check_available()
        lines = [line for line in self.lines if begin <= line.created_at < end]
        for start in range(0, len(lines), PAGE):
            yield lines[start : start + PAGE]

    def measure(self, payment: BookedPayment) -> int | None:
        self._check_available()
        self.measured.append(payment.payment_id)
        return self.get_record(payment.payment_id).net

    def add_line(
        self,
        kind: LineKind,
        amount: int | None,
        payment_id: UUID | None = None,
        refund_id: UUID | None = None,
        type: str = "charge",
        reference: str | None = None,
    ) -> StatementLine:
        number = f"txn_{len(self.lines) + 1}"
        fee = FEE if kind is LineKind.CHARGE else 0
        now = datetime.now(UTC)
        name = reference or number
        line = StatementLine(
            number, kind, type, name, payment_id, refund_id, amount, "USD", fee, "USD", now
        )
        self.lines.append(line)
        return line

    def add_dispute_line(self, payment_id: UUID, amount: int, reference: str) -> StatementLine:
        """Money that a dispute has moved: `amount` is negative if it was withdrawn."""
        self.get_record(payment_id).disputed -= amount
        return self.add_line(
            LineKind.DISPUTE, amount, payment_id, type="adjustment", reference=reference
        )

    def _record(self, claim: Claim) -> None:
        before = self.get_record(claim.payment_id).net
        super()._record(claim)
        change = self.get_record(claim.payment_id).net - before
        if not change:
            return
        kind = LineKind.CHARGE if change > 0 else LineKind.REFUND
        refund_id = claim.refund_id if claim.step == Step.REFUND else None
        self.add_line(kind, change, claim.payment_id, refund_id)

    def _check_available(self) -> None:
        if not self.is_available:
            raise NetworkUnavailable
