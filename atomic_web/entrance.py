"""The frame around Flask: where a visit begins and ends, and what every answer carries.

At WSGI's own level and not in Flask's hooks, so that nothing Flask answers by itself slips past,
and a dozen headers cost one list instead of a search each.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import request
from structlog.contextvars import bind_contextvars, clear_contextvars

from atomic_web.context import AT_HAND, Door, Visit
from atomic_web.rate_limit import limit_headers
from atomic_web.request_id import REQUEST_ID, request_id_of
from atomic_web.request_log import log_request
from atomic_web.security import headers_for_all

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNMATCHED: Final = "unmatched"


class Entrance:
    """Calls the application with a visit at hand."""

    def __init__(self, inside: "WSGIApplication", door: Door) -> None:
        self._inside = inside
        self._door = door
        self._headers = headers_for_all(door.settings)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        visit = Visit(self._door, request_id_of(environ))

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # Flask is still inside its request, and the answer is complete but for these.
            headers.append((REQUEST_ID, visit.request_id))
            headers += limit_headers(visit.rates)
            headers += visit.standing or self._headers
            rule = request.url_rule
            route = rule.rule if rule else UNMATCHED
            log_request(visit, environ["REQUEST_METHOD"], route, int(status[:3]))
            return start_response(status, headers, *rest)

        at_hand = AT_HAND.set(visit)
        bind_contextvars(request_id=visit.request_id)
        try:
            return self._inside(environ, start)
        finally:
            # Connections keep their context from one request to the next: what was bound here
            # must not colour the next one's lines.
            clear_contextvars()
            AT_HAND.reset(at_hand)
