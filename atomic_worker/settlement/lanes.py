"""Settles the payments of each card network apart from those of others: a network that hangs delays
no other."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_core.ports.job_queue import Job
from atomic_core.use_cases.settlement import NO_DELAY, SettledBatch, SettlePayments
from atomic_worker.settlement.batch_log import StoppedBetweenBatches, ignore_batch
from atomic_worker.settlement.concurrent_settlement import settle_concurrently

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SettlementLanes:
    """The lanes of one process. One lane is settled by the thread that calls `settle`: that of the
    network in this process, or the only one. Each other network has a thread, which is woken."""

    application: Application
    process: str
    """The name of the process in the log: worker or sweeper."""
    should_stop: Callable[[], bool]
    """Checked after each batch."""
    overdue_by: timedelta = NO_DELAY
    observe: Callable[[str, SettledBatch], None] = ignore_batch
    """Called with the name of the card network and each batch, by any of the threads."""
    _threads: dict[str, "_LaneThread"] = field(default_factory=dict)

    @property
    def own_lane(self) -> SettlePayments:
        settlement = self.application.settlement
        local = [lane for lane in settlement.lanes.values() if lane.breaker is None]
        return local[0] if local and len(settlement.lanes) > 1 else settlement.settle

    def settle(self, *, wait: bool = False) -> int:
        """Act on the events of card networks; settle what is due in the own lane, and wake the
        others; with `wait`, settle theirs too. Return how many payments and refunds were claimed.
        Raises what settle_concurrently raises.
        """
        events = self.application.network_events.act()
        if events:
            _log.info("network events acted on", by=self.process, count=events)
        own_lane, lanes = self.own_lane, self.application.settlement.lanes
        others = [lane for lane in lanes.values() if lane is not own_lane] if len(lanes) > 1 else []
        claimed = 0
        for lane in others:
            if wait:
                claimed += self._settle_lane(lane)
            else:
                self._wake(lane)
        return claimed + self._settle_lane(own_lane)

    def close(self) -> None:
        """Stop the threads; each finishes its batch, which takes no longer than twice the time-out
        of its network."""
        for thread in self._threads.values():
            thread.request_stop()
        for thread in self._threads.values():
            thread.join()
        self._threads.clear()

    def _settle_lane(self, lane: SettlePayments) -> int:
        return settle_concurrently(
            lane, self.process, self.should_stop, self.overdue_by, self.observe
        )

    def _wake(self, lane: SettlePayments) -> None:
        name = lane.network
        if name not in self._threads:
            self._threads[name] = thread = _LaneThread(self, lane)
            thread.start()
        self._threads[name].wake()


class _LaneThread(threading.Thread):
    """Settles what is due when it is woken, and while the circuit breaker is open after each of its
    pauses. A daemon: when the process ends without `close`, its claims are due again."""

    def __init__(self, lanes: SettlementLanes, lane: SettlePayments) -> None:
        super().__init__(name=f"lane-{lane.network}", daemon=True)
        self._lanes = lanes
        self._lane = lane
        self._wake_up = threading.Event()
        self._is_stop_requested = False

    def wake(self) -> None:
        self._wake_up.set()

    def request_stop(self) -> None:
        self._is_stop_requested = True
        self._wake_up.set()

    def run(self) -> None:
        while True:
            self._wake_up.wait(self._lane.breaker.get_wait() if self._lane.breaker else None)
            self._wake_up.clear()
            if self._should_stop():
                return
            if self._settle():
                # More may be due.
                self._wake_up.set()

    def _should_stop(self) -> bool:
        return self._is_stop_requested or self._lanes.should_stop()

    def _settle(self) -> int:
        lanes = self._lanes
        try:
            claimed = settle_concurrently(
                self._lane, lanes.process, self._should_stop, lanes.overdue_by, lanes.observe
            )
        except StoppedBetweenBatches:
            return 0
        except AtomicError as error:
            # The claims are due again after their lease, and the next wake-up settles them.
            _log.warning(
                "settlement postponed",
                network=self._lane.network,
                problem=error.message,
                cause=repr(error.__cause__),
            )
            return 0
        except Exception:  # noqa: BLE001 - logged
            # A bug. The thread lives on, as a worker does after a job that has failed.
            _log.exception("settlement failed", network=self._lane.network)
            return 0
        if claimed:
            lanes.application.job_queue.notify(Job.DELIVER)
        return claimed
