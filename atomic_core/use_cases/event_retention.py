"""Deletes events that are older than the retention, unless something still needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.maintenance import MAX_PURGE_BATCHES, PURGE_BATCH_SIZE

MIN_RETENTION: Final = timedelta(days=30)
"""The database refuses to delete younger events."""

DEFAULT_RETENTION: Final = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class PurgeEvents:
    """Delete what is older than the retention: the beginnings of streams, without the last event of
    each, and events of timelines. Returns their number.

    Kept are events that an enabled webhook endpoint has not passed, and those from the first one on
    of which an endpoint has a delivery.
    """

    begin: UnitOfWorkFactory
    retention: timedelta = DEFAULT_RETENTION

    def __call__(self) -> int:
        purged, batches = 0, 0
        for merchant_id in self._list_streams():
            while batches < MAX_PURGE_BATCHES:
                batches += 1
                count = self._purge_stream(merchant_id)
                purged += count
                if count < PURGE_BATCH_SIZE:
                    break
        while batches < MAX_PURGE_BATCHES:
            batches += 1
            count = self._purge_timelines()
            purged += count
            if count < PURGE_BATCH_SIZE:
                break
        return purged

    def _list_streams(self) -> Sequence[UUID]:
        with self.begin() as work:
            return work.events.list_purgeable(work.now() - self.retention, PURGE_BATCH_SIZE)

    def _purge_stream(self, merchant_id: UUID) -> int:
        with self.begin() as work:
            before = work.now() - self.retention
            count = work.events.purge_stream(merchant_id, before, PURGE_BATCH_SIZE)
            work.commit()
        return count

    def _purge_timelines(self) -> int:
        with self.begin() as work:
            count = work.events.purge_timelines(work.now() - self.retention, PURGE_BATCH_SIZE)
            work.commit()
        return count
