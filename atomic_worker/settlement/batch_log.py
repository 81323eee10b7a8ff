"""Logs settled batches: ids and counts, never card tokens or API keys."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from atomic_core.domain.payments import Status
from atomic_core.use_cases.settlement import SettledBatch, SettlePayments

MAX_IDS: Final = 20
"""Payment ids per line: enough to find a payment under light load, while a full batch does not
log 40 KB."""

_log = structlog.get_logger(__name__)


class StoppedBetweenBatches(Exception):
    """The process was asked to stop. The last batch is committed and the next is not claimed."""


def ignore_batch(_network: str, _batch: SettledBatch) -> None:
    """Of a process without metrics."""


@dataclass(slots=True)
class BatchLog:
    """Logs each batch: the `on_batch` of SettlePayments.

    Raises StoppedBetweenBatches if `should_stop` returns true after a batch.
    """

    process: str
    """The name of the process in the log: worker or sweeper."""
    should_stop: Callable[[], bool]
    lane: SettlePayments
    observe: Callable[[str, SettledBatch], None] = ignore_batch
    """Called with the name of the card network, for metrics."""
    _previous_end: float = field(default_factory=time.monotonic)

    def __call__(self, batch: SettledBatch) -> None:
        now = time.monotonic()
        duration, self._previous_end = now - self._previous_end, now
        statuses = [settlement.status for settlement in batch.settlements]
        self.observe(self.lane.network, batch)
        _log.info(
            "batch settled",
            by=self.process,
            network=self.lane.network,
            claimed=batch.claimed,
            succeeded=statuses.count(Status.SUCCESS),
            failed=statuses.count(Status.FAILED),
            retried=statuses.count(Status.PROCESSING),
            lost=batch.lost,
            duration_ms=round(duration * 1000, 1),
            payments=[str(settlement.payment_id) for settlement in batch.settlements[:MAX_IDS]],
        )
        for call in batch.network_errors:
            _log.error(
                "card network call failed",
                by=self.process,
                network=self.lane.network,
                method=call.method,
                claims=call.claims,
                problem=repr(call.error),
            )
        for payment_id, problem in batch.rejected:
            _log.error(
                "settlement rejected by the database",
                by=self.process,
                payment=str(payment_id),
                problem=problem,
            )
        self._log_breaker()
        if self.should_stop():
            raise StoppedBetweenBatches

    def _log_breaker(self) -> None:
        breaker = self.lane.breaker
        is_open = breaker.take_change() if breaker else None
        if is_open is None:
            return
        event = "circuit breaker opened" if is_open else "circuit breaker closed"
        log = _log.error if is_open else _log.info
        log(event, by=self.process, network=self.lane.network)
