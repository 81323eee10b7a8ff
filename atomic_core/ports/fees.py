"""The repository of fee schedules."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from atomic_core.domain.fees import FeeSchedule, FeeTerms


class FeeRepository(Protocol):
    def set(self, merchant_id: UUID, currency: str, terms: FeeTerms) -> FeeSchedule:
        """Replace the merchant's terms in the currency."""
        ...

    def list_by_merchant(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        """The merchant's fees, ordered by currency."""
        ...
