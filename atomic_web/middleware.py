"""The frame around Flask: where a visit begins and ends, and what every answer carries.

At WSGI's own level and not in Flask's hooks, so that nothing Flask answers by itself slips past,
and a dozen headers cost one list instead of a search each.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import request
from structlog.contextvars import bind_contextvars, clear_contextvars

from atomic_web.access.rate_limiting import limit_headers
from atomic_web.context import CURRENT_CONTEXT, AppContext, RequestContext
from atomic_web.http.request_id import REQUEST_ID, request_id_of
from atomic_web.http.security_headers import headers_for_all
from atomic_web.request_log import log_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNMATCHED: Final = "unmatched"


class RequestContextMiddleware:
    """Calls the application with a visit at hand."""

    def __init__(self, inside: "WSGIApplication", app_context: AppContext) -> None:
        self._inside = inside
        self._door = app_context
        self._headers = headers_for_all(app_context.settings)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request_context = RequestContext(self._door, request_id_of(environ))

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # Flask is still inside its request, and the answer is complete but for these.
            headers.append((REQUEST_ID, request_context.request_id))
            headers += limit_headers(request_context.rates)
            headers += request_context.standing or self._headers
            rule = request.url_rule
            route = rule.rule if rule else UNMATCHED
            log_request(request_context, environ["REQUEST_METHOD"], route, int(status[:3]))
            return start_response(status, headers, *rest)

        context = CURRENT_CONTEXT.set(request_context)
        bind_contextvars(request_id=request_context.request_id)
        try:
            return self._inside(environ, start)
        finally:
            # Connections keep their context from one request to the next: what was bound here
            # must not colour the next one's lines.
            clear_contextvars()
            CURRENT_CONTEXT.reset(context)
