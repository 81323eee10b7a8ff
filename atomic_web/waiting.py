"""`?wait=5` and `Prefer: wait=5`: answer when the payment or refund is settled."""

import re
from collections.abc import Callable
from typing import Any, Final, Protocol
from uuid import UUID

from flask import Response
from flask.globals import request_ctx
from marshmallow import Schema

from atomic_core.domain.errors import StorageUnavailable, TooManyWaiting, WaitingPlacesTaken
from atomic_core.domain.payments import Status
from atomic_web.access.idempotency import IDEMPOTENT_REPLAYED
from atomic_web.context import request_context
from atomic_web.http.query import Parameter, parse_query
from atomic_web.http.responses import json_response, render_envelope
from atomic_web.schemas.event_filters import MAX_WAIT_SECONDS, parse_wait

PREFER: Final = "Prefer"

WAIT: Final = Parameter(
    name="wait",
    attribute="wait",
    parse=parse_wait,
    schema={"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
    description="Wait up to this number of seconds until it is settled, AUTHORIZED or"
    " REQUIRES_ACTION. A POST is"
    " answered 200 then, and 202 if the time is over first. `Prefer: wait=5` means the same.",
    example=5,
    component="settlementWait",
)

# RFC 7240. A preference that is not understood is ignored.
_PREFERRED_WAIT: Final = re.compile(
    r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE
)


class _Item(Protocol):
    @property
    def status(self) -> Status: ...


def read_wait_seconds() -> int:
    """For endpoints without other query parameters. 0 if the request does not ask to wait. Raises
    ValidationFailed."""
    environ = request_ctx.request.environ
    if not environ.get("QUERY_STRING") and "HTTP_PREFER" not in environ:
        return 0
    values = parse_query((WAIT,))
    return values["wait"] if "wait" in values else read_preferred_seconds()


def read_preferred_seconds() -> int:
    """The wait of the Prefer header, at most MAX_WAIT_SECONDS; 0 without one."""
    match = _PREFERRED_WAIT.search(request_ctx.request.environ.get("HTTP_PREFER", ""))
    return min(int(match[1]), MAX_WAIT_SECONDS) if match else 0


def respond_when_settled(
    accepted: Response,
    seconds: int,
    wait: Callable[[UUID, UUID, float], _Item],
    schema: Schema,
) -> Response:
    """The response to a POST that was accepted, once its payment or refund is settled.

    A replay is the first response, as it is stored. If it is not possible to wait, the answer is
    the one without `wait`: the request is accepted, and an error would hide that.
    """
    if not seconds or IDEMPOTENT_REPLAYED in accepted.headers:
        return accepted
    id = UUID(accepted.headers["Location"].rsplit("/", 1)[1])
    try:
        item = wait(request_context().merchant_id, id, seconds)
    except (TooManyWaiting, WaitingPlacesTaken, StorageUnavailable):
        return accepted
    body: Any = schema.dump(item)
    response = json_response(render_envelope(body), 202 if item.status.is_open else 200)
    response.headers["Location"] = accepted.headers["Location"]
    return response
