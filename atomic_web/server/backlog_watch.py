"""Watching whether payments are being settled, from the API: workers and sweepers that have stopped
report nothing. Watches what its own process uses, too."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from atomic_core.domain.backlog import Backlog
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.process_load import NO_LOAD, ProcessLoad
from atomic_web.metrics import observe_backlog, observe_load

WATCH_SECONDS: Final = 10.0
"""Between two measurements, each of which reads the index of due work."""

ROUNDS_PER_WARNING: Final = 6
"""While the backlog is stalled, every sixth measurement is logged: once per minute."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BacklogWatch:
    measure: Callable[[], Backlog]
    read_load: Callable[[], ProcessLoad] = lambda: NO_LOAD
    """Of this process."""
    _load: ProcessLoad = NO_LOAD
    _rounds_stalled: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """In a daemon thread, which is a greenlet in the server: call it after the fork."""
        threading.Thread(target=self._run, name="backlog-watch", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            self.watch()

    def watch(self) -> None:
        """Measure once: set the metrics, log a stalled backlog and its end."""
        # First: while the database is away, requests wait for connections.
        load = self.read_load()
        observe_load(load, self._load)
        self._load = load
        try:
            backlog = self.measure()
        except AtomicError as error:
            # Requests log that the database is unavailable.
            _log.debug("backlog not measured", problem=error.message)
            return
        observe_backlog(backlog)
        if not backlog.is_stalled:
            if self._rounds_stalled:
                _log.info("payments are settled again", due=backlog.due)
            self._rounds_stalled = 0
            return
        if self._rounds_stalled % ROUNDS_PER_WARNING == 0:
            _log.warning(
                "payments are not settled: no worker or sweeper claims what is due",
                due=backlog.due,
                oldest_age_s=round(backlog.oldest_age.total_seconds(), 1),
            )
        self._rounds_stalled += 1
