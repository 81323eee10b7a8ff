"""Streams read by many callers at once."""

from collections.abc import Sequence
from itertools import compress

from atomic_adapters.micro_batching import MicroBatcher
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import StreamEvent, StreamRead
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory


class BatchedEventReader:
    """An `EventReader` port on any store. Concurrent reads are micro-batched, and equal ones share
    one query: the requests that an event wakes take one connection for a moment, not one each."""

    def __init__(self, begin: UnitOfWorkFactory) -> None:
        self._begin = begin
        self._read = MicroBatcher[StreamRead, Sequence[StreamEvent] | None](
            self._execute, StorageUnavailable
        )

    def read(self, read: StreamRead) -> Sequence[StreamEvent] | None:
        return self._read(read)

    def _execute(self, reads: Sequence[StreamRead]) -> Sequence[Sequence[StreamEvent] | None]:
        with self._begin() as work:
            key_ids = {read.key_id for read in reads if read.key_id}
            active_key_ids = {id for id in key_ids if work.merchants.is_key_active(id)}
            allowed = [read.key_id is None or read.key_id in active_key_ids for read in reads]
            # Several keys of a merchant share a page.
            pages = {
                page: _list(work, page)
                for page in {_without_key(read) for read in compress(reads, allowed)}
            }
        return [
            pages[_without_key(read)] if is_allowed else None
            for read, is_allowed in zip(reads, allowed, strict=True)
        ]


def _without_key(read: StreamRead) -> StreamRead:
    return read._replace(key_id=None)


def _list(work: UnitOfWork, read: StreamRead) -> Sequence[StreamEvent]:
    return work.events.list_stream(
        read.merchant_id, read.filters, read.limit, is_oldest_first=read.is_oldest_first
    )
