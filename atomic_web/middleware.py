"""The WSGI middleware around Flask: it creates the request context, adds the headers that every
response carries, and logs the request.

It works at WSGI level and not in Flask's hooks, so it covers the responses that Flask generates
itself as well, and appends a dozen headers to one list instead of searching for each.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import request
from structlog.contextvars import bind_contextvars, clear_contextvars

from atomic_adapters.bulkhead import CURRENT_MERCHANT
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_web.access.rate_limiting import build_rate_limit_headers
from atomic_web.context import CURRENT_CONTEXT, RequestContext
from atomic_web.http.request_id import REQUEST_ID, generate_request_id, read_client_request_id
from atomic_web.http.security_headers import build_security_headers
from atomic_web.request_log import log_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

UNMATCHED: Final = "unmatched"


class RequestContextMiddleware:
    """Calls the WSGI application with a request context."""

    def __init__(
        self, wsgi_app: "WSGIApplication", application: Application, settings: Settings
    ) -> None:
        self._wsgi_app = wsgi_app
        self._application = application
        self._settings = settings
        self._security_headers = build_security_headers(settings)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        server_request_id = generate_request_id()
        client_request_id = read_client_request_id(environ)
        request_id = client_request_id or str(server_request_id)
        context = RequestContext(self._application, self._settings, request_id, server_request_id)

        def add_headers(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # Flask's request context is still active here, and the response is complete.
            headers.append((REQUEST_ID, context.request_id))
            headers += build_rate_limit_headers(context.rate_limit_states)
            headers += context.security_headers or self._security_headers
            rule = request.url_rule
            route = rule.rule if rule else UNMATCHED
            log_request(context, environ["REQUEST_METHOD"], route, int(status[:3]))
            return start_response(status, headers, *rest)

        token = CURRENT_CONTEXT.set(context)
        bind_contextvars(request_id=request_id)
        if client_request_id:
            # It leads from what the request has written to its log lines.
            bind_contextvars(server_request_id=str(server_request_id))
        try:
            return self._wsgi_app(environ, add_headers)
        finally:
            # The requests of one connection share a context: log fields and the merchant of this
            # request must not appear in the next one.
            clear_contextvars()
            CURRENT_MERCHANT.set(None)
            CURRENT_CONTEXT.reset(token)
