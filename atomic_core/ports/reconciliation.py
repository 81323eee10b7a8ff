"""What reconciliation reads of the ledger, and its kept reports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from atomic_core.domain.reconciliation import BookedPayment, Posting, ReconciliationReport


class ReconciliationRepository(Protocol):
    def list_postings(self, payment_ids: Sequence[UUID]) -> Sequence[Posting]:
        """The ledger transactions of these payments, their refunds and their disputes."""
        ...

    def list_posted(
        self, network: str, begin: datetime, end: datetime, after: UUID | None, limit: int
    ) -> Sequence[Posting]:
        """The ledger transactions of a network's payments that were posted from `begin` until
        before `end`, by transaction id, after this one."""
        ...

    def list_payments(self, payment_ids: Sequence[UUID]) -> Sequence[BookedPayment]: ...

    def add(self, report: ReconciliationReport) -> bool:
        """Keep a report. False if it is scheduled and its period has a scheduled report already."""
        ...

    def get(self, report_id: UUID) -> ReconciliationReport | None: ...

    def list(self, limit: int) -> Sequence[ReconciliationReport]:
        """Newest first."""
        ...

    def get_last_scheduled(self, network: str) -> ReconciliationReport | None:
        """That of the latest period."""
        ...
