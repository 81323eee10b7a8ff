"""Events in PostgreSQL."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    Column,
    bigint_array,
    integer_array,
    text_array,
    transpose,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.origins import build_origin, build_origin_arrays
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.postgres.time_ordered_ids import get_lowest_id
from atomic_core.domain.events import (
    STREAM_TYPES,
    Event,
    EventFilter,
    EventSubject,
    EventType,
    RecordedEvent,
    StreamEvent,
    build_data,
    is_in_stream,
)
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Status

_SQL: Final = load_statements("events")

T = TypeVar("T")

MAX_SEQUENCE: Final = 2**63 - 1
"""The largest bigint: above every sequence number."""


@dataclass(frozen=True, slots=True)
class PostgresEventRepository:
    session: DatabaseSession
    _added: list[Event] = field(default_factory=list)

    def add(self, events: Sequence[Event]) -> None:
        self._added.extend(events)

    def flush(self) -> Sequence[UUID]:
        """Insert what was added; return the merchants whose streams have grown. The unit of work
        calls it directly before COMMIT."""
        if not self._added:
            return []
        events = self._added
        columns = transpose(events)
        counts: dict[int, int] = {}
        offsets = [_count_event(event, counts) for event in events]
        counted = sorted(counts)
        counted_merchant_ids = [UUID(int=number) for number in counted]
        self.session.send(
            _SQL["insert_events"],
            counted_merchant_ids=uuid_array(counted_merchant_ids),
            counts=bigint_array(counts[number] for number in counted),
            merchant_ids=uuid_array(columns.merchant_id),
            offsets=bigint_array(offsets),
            types=text_array(columns.type),
            payment_ids=uuid_array(columns.payment_id),
            refund_ids=_encode(uuid_array, columns.refund_id),
            statuses=text_array(columns.status),
            attempts=integer_array(columns.attempt),
            amounts=bigint_array(columns.amount),
            reasons=_encode(text_array, columns.reason),
            data=_encode(text_array, [_to_json(data) for data in columns.data]),
            **_build_origin_arrays(columns.origin),
        )
        events.clear()
        return counted_merchant_ids

    def list_by_payment(self, payment_id: UUID, limit: int) -> Sequence[RecordedEvent]:
        rows = self.session.fetch_all(
            _SQL["list_events_by_payment"], payment_id=payment_id, limit=limit
        )
        return [_build_recorded_event(*row) for row in rows]

    def list_stream(
        self, merchant_id: UUID, filters: EventFilter, limit: int, *, is_oldest_first: bool
    ) -> Sequence[StreamEvent]:
        types = [type.value for type in filters.types or STREAM_TYPES]
        parameters: dict[str, Any] = {
            "merchant_id": merchant_id,
            "after_sequence": filters.after or 0,
            "before_sequence": MAX_SEQUENCE if filters.before is None else filters.before,
            "limit": limit,
        }
        if filters.payment_id is not None:
            statement = _SQL["list_stream_by_payment"]
            direction = 1 if is_oldest_first else -1
            parameters |= {
                "payment_id": filters.payment_id,
                "types": types,
                "direction": direction,
            }
        elif filters.types:
            parameters["types"] = types
            statement = (
                _SQL["list_stream_by_type"]
                if is_oldest_first
                else _SQL["list_stream_by_type_newest_first"]
            )
        else:
            statement = _SQL["list_stream"] if is_oldest_first else _SQL["list_stream_newest_first"]
        rows = self.session.fetch_all(statement, **parameters)
        return [_build_stream_event(row) for row in rows]

    def get(self, merchant_id: UUID, event_id: UUID) -> StreamEvent | None:
        row = self.session.fetch_optional(_SQL["get_event"], id=event_id, merchant_id=merchant_id)
        return _build_stream_event(row) if row else None

    def list_purgeable(self, before: datetime, limit: int) -> Sequence[UUID]:
        rows = self.session.fetch_all(_SQL["list_purgeable_streams"], before=before, limit=limit)
        return [merchant_id for (merchant_id,) in rows]

    def purge_stream(self, merchant_id: UUID, before: datetime, limit: int) -> int:
        return self.session.execute(
            _SQL["purge_stream"], merchant_id=merchant_id, before=before, limit=limit
        )

    def purge_timelines(self, before: datetime, limit: int) -> int:
        # Above all ids of that millisecond.
        before_id = get_lowest_id(before + timedelta(milliseconds=1))
        return self.session.execute(
            _SQL["purge_timelines"], before=before, before_id=before_id, limit=limit
        )

    def get_last_sequences(self, merchant_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        rows = self.session.fetch_all(_SQL["get_last_sequences"], merchant_ids=list(merchant_ids))
        return dict(rows)

    def count(self) -> int:
        (count,) = self.session.fetch_one(_SQL["count_events"])
        return count


def _count_event(event: Event, counts: dict[int, int]) -> int | None:
    """The number of the event among those that are counted for its merchant; None if it is of the
    timeline only. `counts` is by merchant id as a number, which takes less to hash."""
    # Hashing a type takes longer than this comparison, and most events are of this type.
    if event.type is not EventType.SUCCEEDED and not is_in_stream(event):
        return None
    merchant = event.merchant_id.int
    number = counts[merchant] = counts.get(merchant, 0) + 1
    return number


def _encode(encoder: Callable[[Iterable[T]], Column], values: Sequence[T]) -> Column:
    """A column of which most batches have no value: then empty, which `unnest` fills with NULL."""
    has_values = any(value is not None for value in values)
    return encoder(values if has_values else ())


def _to_json(data: Mapping[str, object] | None) -> str | None:
    return None if data is None else json.dumps(data)


def _build_origin_arrays(origins: Sequence[Origin | None]) -> Mapping[str, Column]:
    """Empty, as above, for the events of a settlement."""
    has_origins = any(origin is not None for origin in origins)
    return build_origin_arrays(origins if has_origins else ())


def _build_recorded_event(
    merchant_id: UUID, type: str, payment_id: UUID, status: str, *details: Any
) -> RecordedEvent:
    refund_id, attempt, amount, reason, at, *origin = details
    event = Event(
        merchant_id,
        EventType(type),
        payment_id,
        Status(status),
        refund_id,
        attempt,
        amount,
        reason,
        build_origin(*origin),
    )
    return RecordedEvent(event, at)


def _build_stream_event(row: Sequence[Any]) -> StreamEvent:
    """`row` has the columns of fragments/stream_event_columns.sql."""
    id, sequence, occurred_at, merchant_id, type, payment_id, status, refund_id, *rest = row
    attempt, amount, reason, data, *rest = rest
    subject, origin = rest[:5], rest[5:]
    event = Event(
        merchant_id,
        EventType(type),
        payment_id,
        status and Status(status),
        refund_id,
        attempt,
        amount,
        reason,
        build_origin(*origin),
    )
    if data is None:
        data = build_data(event, EventSubject(*subject))
    return StreamEvent(event._replace(data=data), id, sequence, occurred_at)
