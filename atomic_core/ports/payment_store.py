"""Creating and finding payments without a unit of work."""

from collections.abc import Sequence
from typing import Protocol

from atomic_core.domain.payments import InsertedPayment, Payment, PaymentInsert, PaymentLookup


class PaymentStore(Protocol):
    """The two most frequent calls of the API. Each is one statement in its own transaction.

    An implementation can batch concurrent calls (micro-batching), so that a call must not depend
    on anything but its arguments. A None result means that the common case does not apply: the
    caller retries in a unit of work, which raises the specific error. Both raise
    StorageUnavailable, after which an insert may have been committed.
    """

    def insert(self, inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        """`PaymentRepository.insert`, committed, with a short lock time-out: where that raises an
        error, the result is None."""
        ...

    def find(self, lookups: Sequence[PaymentLookup]) -> Sequence[Payment | None]:
        """`PaymentRepository.find`."""
        ...
