"""The query parameters of GET /events."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from atomic_core.domain.events import EventFilter, EventType
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.webhooks import expand_event_types
from atomic_web.http.query import InvalidParameter, Parameter
from atomic_web.schemas import enumerations
from atomic_web.schemas.descriptions import UUID_SCHEMA
from atomic_web.schemas.filters import PAGE_QUERY, parse_member, parse_uuid, split_page_parameters

MAX_SEQUENCE: Final = MAX_AMOUNT
"""The largest integer that every JSON parser reads exactly."""

MAX_WAIT_SECONDS: Final = 30
"""Load balancers and proxies commonly close a connection without traffic after 60 s."""

_SEQUENCE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_WAIT: Final = re.compile(r"[0-9]|[1-9][0-9]")


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What a request for a page of events says."""

    filters: EventFilter
    is_oldest_first: bool
    limit: int
    cursor: str | None
    wait_seconds: int

    @property
    def list_identity(self) -> tuple[Any, ...]:
        """What a cursor belongs to."""
        types, payment_id, after, before = self.filters
        return ("events", sorted(types), payment_id, after, before, self.is_oldest_first)

    def continue_after(self, sequence: int | None) -> EventFilter:
        """The filters of the page after the event with this sequence number, which is within
        them. None: of the first page."""
        if sequence is None:
            return self.filters
        if self.is_oldest_first:
            return self.filters._replace(after=sequence)
        return self.filters._replace(before=sequence)


def build_event_query(values: Mapping[str, Any]) -> EventQuery:
    """From the values of EVENT_QUERY."""
    limit, cursor, others = split_page_parameters(values)
    wait_seconds, order = others.pop("wait", 0), others.pop("order", None)
    types = expand_types(others.pop("types", ()))
    filters = EventFilter(types, **others)
    is_oldest_first = order == "asc" or (order is None and filters.after is not None)
    if filters.before is not None or not is_oldest_first:
        # No event to come would be on this page.
        wait_seconds = 0
    return EventQuery(filters, is_oldest_first, limit, cursor, wait_seconds)


def expand_types(names: Collection[str]) -> frozenset[EventType]:
    """The types that the names mean; empty, for every type, if there is no name."""
    return expand_event_types(tuple(names)) if names else frozenset()


def _parse_sequence(text: str) -> int:
    if not _SEQUENCE.fullmatch(text) or int(text) > MAX_SEQUENCE:
        raise InvalidParameter(f"Must be an integer from 0 to {MAX_SEQUENCE}.")
    return int(text)


def parse_wait(text: str) -> int:
    if not _WAIT.fullmatch(text) or int(text) > MAX_WAIT_SECONDS:
        raise InvalidParameter(
            f"Must be an integer number of seconds from 0 to {MAX_WAIT_SECONDS}."
        )
    return int(text)


def _build_sequence_filter(name: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=name,
        parse=_parse_sequence,
        schema={"type": "integer", "minimum": 0, "maximum": MAX_SEQUENCE},
        description=description,
        example=123,
    )


TYPE: Final = Parameter(
    name="type",
    attribute="types",
    parse=lambda text: parse_member(text, enumerations.EVENT_TYPE_FILTER),
    schema={"type": "array", "items": enumerations.EVENT_TYPE_FILTER.reference},
    description="May be repeated, to match any of several. `payment.*` matches all types that begin"
    " so.",
    example=["payment.succeeded", "refund.*"],
    component="eventType",
    is_repeatable=True,
)
PAYMENT_ID: Final = Parameter(
    name="paymentId",
    attribute="payment_id",
    parse=parse_uuid,
    schema=dict(UUID_SCHEMA),
    description="Of this payment and its refunds.",
    example="0199c0de-0000-7000-8000-000000000001",
    component="eventPaymentId",
)
AFTER: Final = _build_sequence_filter(
    "after", "Events with a sequence number above this one; 0 for the whole stream."
)
BEFORE: Final = _build_sequence_filter("before", "Events with a sequence number below this one.")
ORDER: Final = Parameter(
    name="order",
    attribute="order",
    parse=lambda text: parse_member(text, enumerations.SORT_ORDER),
    schema=enumerations.SORT_ORDER.reference,
    description="By sequence number. If it is absent: `asc` with `after`, otherwise `desc`.",
    example="asc",
)
WAIT: Final = Parameter(
    name="wait",
    attribute="wait",
    parse=parse_wait,
    schema={"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
    description="If no event matches, wait up to this number of seconds for the first one. Without"
    " effect with `before` and for the newest events first.",
    example=20,
)
EVENT_QUERY: Final = (*PAGE_QUERY, TYPE, PAYMENT_ID, AFTER, BEFORE, ORDER, WAIT)
