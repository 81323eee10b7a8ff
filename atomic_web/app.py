"""Composes the Flask application over the core's Application."""

from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import Map, MapAdapter

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_web.access.guards import authenticate_and_rate_limit
from atomic_web.context import BASE_PATH
from atomic_web.error_handlers import register_error_handlers
from atomic_web.http.ids import IdConverter, RestOfPathConverter
from atomic_web.http.paths import has_canonical_path
from atomic_web.http.responses import JsonResponse
from atomic_web.http.security_headers import configure_cors
from atomic_web.middleware import RequestContextMiddleware
from atomic_web.views import (
    accounts,
    api_keys,
    audit_log,
    balances,
    batches,
    disputes,
    events,
    exchanges,
    health,
    holds,
    idempotency_keys,
    index,
    journal,
    journal_batches,
    lists,
    merchants,
    network_events,
    openapi,
    payments,
    pending_transactions,
    periods,
    refunds,
    sessions,
    timeline,
    webhook_deliveries,
    webhook_endpoints,
)

_NO_ROUTES: Final = Map()


class _Flask(Flask):
    response_class = JsonResponse

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """A path that is not canonical matches no route, as any other unknown URL."""
        if request is not None and not has_canonical_path(request.environ):
            return _NO_ROUTES.bind_to_environ(request.environ)
        return super().create_url_adapter(request)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view is a coroutine, and Flask's check for one is slow."""
        return func


def create_app(application: Application, settings: Settings) -> Flask:
    app = create_routes(settings)
    bind_application(app, application, settings)
    return app


def create_routes(settings: Settings) -> Flask:
    """The Flask application before `bind_application` completes it, or a copy of it."""
    app = _Flask(__name__, static_folder=None, template_folder=None)
    # http/body.py sets its own limit per route; this one is for any other reader.
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit
    # One URL per resource: `//payments` is 404, not a redirect to the host that Host names.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.url_map.converters |= {"default": IdConverter, "whole": RestOfPathConverter}

    modules = (
        *(health, payments, batches, holds, refunds, timeline, accounts, lists, events),
        *(journal, journal_batches, pending_transactions, exchanges, balances, periods, disputes),
        *(webhook_endpoints, webhook_deliveries, network_events),
        *(merchants, sessions, api_keys, audit_log, idempotency_keys, openapi, index),
    )
    for module in modules:
        views = module.views
        app.register_blueprint(views, url_prefix=f"{BASE_PATH}{views.url_prefix or ''}")

    # The first URLs that people try on an unknown host.
    app.add_url_rule("/", "root", index.show)
    app.add_url_rule("/docs", "docs", openapi.show_reference)

    app.before_request(authenticate_and_rate_limit)
    configure_cors(app, settings)
    register_error_handlers(app)
    return app


def bind_application(app: Flask, application: Application, settings: Settings) -> None:
    """Let `app` serve this application. To be called once."""
    # For the server, which counts requests that it cannot parse, and ends waits when it stops.
    app.extensions["atomic"] = (application, settings)
    app.wsgi_app = RequestContextMiddleware(app.wsgi_app, application, settings)
    if settings.trusted_proxies:
        # Only the client address: scheme, host and path must not come from request headers.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)
