"""Where callers of the API are served."""

from collections.abc import Sequence
from typing import Protocol

from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup


class PaymentStore(Protocol):
    """The two things asked for most, each call one statement and a transaction of its own.

    For many callers at once: a desk may serve those who ask at the same moment together, so the
    usual must be all that it does. None sends a caller the long way, where what is unusual gets
    its due answer. Raises StorageUnavailable; what was asked to accept may then be recorded.
    """

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        """`PaymentRepository.insert`, committed. Waits only moments for anybody: None instead."""
        ...

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        """`PaymentRepository.find`."""
        ...
