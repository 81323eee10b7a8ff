"""Waiting until a payment or refund is settled."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import Refund
from atomic_core.ports.event_signal import EventSignal
from atomic_core.use_cases.payments import GetPayment
from atomic_core.use_cases.refunds import GetRefund


class _Item(Protocol):
    @property
    def status(self) -> Status: ...


Item = TypeVar("Item", bound=_Item)


def await_settlement(
    signal: EventSignal,
    merchant_id: UUID,
    subject_id: UUID,
    seconds: float,
    read: Callable[[], Item],
) -> Item:
    """The payment or refund that `read` returns, as soon as no worker has to process it, or as it
    is after `seconds`. Between two reads the caller holds no database connection.

    Raises what `read` raises, TooManyWaiting and WaitingPlacesTaken.
    """
    deadline = time.monotonic() + seconds
    with signal.watch(merchant_id, subject_id) as watch:
        while True:
            seconds_left = deadline - time.monotonic()
            may_have_changed = seconds_left > 0 and watch.wait(seconds_left)
            item = read()
            if not item.status.is_open or not may_have_changed:
                return item


@dataclass(frozen=True, slots=True)
class AwaitPayment:
    """A payment of this merchant, once it is AUTHORIZED, REQUIRES_ACTION, SUCCESS, FAILED or
    CANCELED, or as it is after `seconds`. Raises NotFound, TooManyWaiting, WaitingPlacesTaken."""

    get: GetPayment
    signal: EventSignal

    def __call__(self, merchant_id: UUID, payment_id: UUID, seconds: float) -> Payment:
        return await_settlement(
            self.signal, merchant_id, payment_id, seconds, lambda: self.get(merchant_id, payment_id)
        )


@dataclass(frozen=True, slots=True)
class AwaitRefund:
    """The same for a refund."""

    get: GetRefund
    signal: EventSignal

    def __call__(self, merchant_id: UUID, refund_id: UUID, seconds: float) -> Refund:
        return await_settlement(
            self.signal, merchant_id, refund_id, seconds, lambda: self.get(merchant_id, refund_id)
        )
