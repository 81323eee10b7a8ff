"""Events as the API shows them, which is also what webhooks send."""

import json
from collections.abc import Mapping
from uuid import UUID

from atomic_core.domain.events import StreamEvent
from atomic_core.domain.timestamps import format_rfc3339


def build_event_document(stream_event: StreamEvent) -> Mapping[str, object]:
    """The members of an event, named and ordered as in the API."""
    event = stream_event.event
    origin = event.origin
    actor = None
    if origin is not None:
        actor = {"type": str(origin.actor), "id": _format_id(origin.actor_id)}
    return {
        "id": str(stream_event.id),
        "sequence": stream_event.sequence,
        "type": str(event.type),
        "occurredAt": format_rfc3339(stream_event.occurred_at),
        "paymentId": _format_id(event.payment_id),
        "refundId": _format_id(event.refund_id),
        "data": event.data,
        "requestId": event.request_id,
        "serverRequestId": _format_id(event.server_request_id),
        "actor": actor,
    }


def render_event(stream_event: StreamEvent) -> bytes:
    """The body of a webhook: the same bytes in every attempt, because an event never changes."""
    document = build_event_document(stream_event)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _format_id(id: UUID | None) -> str | None:
    return None if id is None else str(id)
