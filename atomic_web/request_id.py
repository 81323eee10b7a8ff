"""One id per request, in the answer and in every log line."""

import re
from typing import Final
from uuid import uuid4

import structlog
from flask import Response, g, request

from atomic_web.context import Visit, visit

REQUEST_ID: Final = "X-Request-Id"

# Visible ASCII can be echoed in a header and written to a log without further thought.
_ACCEPTABLE: Final = re.compile(r"[\x21-\x7e]{1,128}")


def begin_visit() -> None:
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _ACCEPTABLE.fullmatch(given) else str(uuid4())
    g.visit = Visit(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)


def show_request_id(response: Response) -> Response:
    response.headers[REQUEST_ID] = visit().request_id
    return response


def end_visit(_error: BaseException | None) -> None:
    # Threads are used again: what was bound here must not colour the next request's lines.
    structlog.contextvars.clear_contextvars()
