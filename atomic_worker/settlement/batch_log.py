"""What the log says of settled payments. Ids and counts; never a token, never a key."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from atomic_core.domain.payments import Status
from atomic_core.use_cases.settlement import SettledBatch

MAX_IDS: Final = 20
"""Payment ids per line: enough to find a payment in the log of a quiet shop, without lines of
40 KB in a busy one."""

_log = structlog.get_logger(__name__)


class StoppedBetweenBatches(Exception):
    """The settler was asked to stop, and has nothing in hand."""


@dataclass(slots=True)
class BatchLog:
    """Told of each batch as it ends: the `done` of SettlePayments. `by` says who settled.

    Raises StoppedBetweenBatches once `stopping` says so: the batch is committed, and the next
    is not claimed.
    """

    by: str
    stopping: Callable[[], bool]
    _since: float = field(default_factory=time.monotonic)

    def __call__(self, batch: SettledBatch) -> None:
        now = time.monotonic()
        duration, self._since = now - self._since, now
        statuses = [settlement.status for settlement in batch.settlements]
        _log.info(
            "settled",
            by=self.by,
            claimed=batch.claimed,
            succeeded=statuses.count(Status.SUCCESS),
            failed=statuses.count(Status.FAILED),
            retried=statuses.count(Status.PROCESSING),
            lost=batch.lost,
            duration_ms=round(duration * 1000, 1),
            payments=[str(each.payment_id) for each in batch.settlements[:MAX_IDS]],
        )
        for payment_id, problem in batch.rejected:
            _log.error("payment stuck", by=self.by, payment=str(payment_id), problem=problem)
        if self.stopping():
            raise StoppedBetweenBatches
