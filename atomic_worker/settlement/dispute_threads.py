"""Processes the disputes of each card network in a thread of its own: neither payments nor the
disputes of other networks wait for one that hangs."""

import threading
from dataclasses import dataclass, field
from functools import partial

import structlog

from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DisputeThreads:
    application: Application
    _threads: dict[str, threading.Thread] = field(default_factory=dict)

    def start(self) -> None:
        """Begin a round for each network whose last round has ended. Daemon threads: what one has
        leased when the process ends is due again a minute later."""
        for network in self.application.disputes.networks:
            thread = self._threads.get(network)
            if thread is None or not thread.is_alive():
                run = partial(process_and_log, self.application, network)
                self._threads[network] = threading.Thread(
                    target=run, name=f"disputes-{network}", daemon=True
                )
                self._threads[network].start()

    def join(self, seconds: float) -> None:
        """Wait for the rounds under way, up to so many seconds for each network."""
        for thread in self._threads.values():
            thread.join(seconds)


def process_and_log(application: Application, network: str) -> int:
    """One round of a network's disputes; how many look-ups and responses were made."""

    def log_problem(reference: str, problem: str) -> None:
        _log.error("dispute not processed", network=network, dispute=reference, problem=problem)

    try:
        processed = application.disputes.process(network, log_problem)
    except AtomicError as error:
        # What was leased is due again.
        _log.warning("disputes postponed", network=network, problem=error.message)
        return 0
    except Exception:  # noqa: BLE001 - logged
        # A bug. The next round begins a new thread.
        _log.exception("disputes failed", network=network)
        return 0
    if processed:
        _log.info("disputes processed", network=network, count=processed)
    return processed
