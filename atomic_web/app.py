"""The web door's composition: one Flask application over one Application."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_web.access.guards import authenticate_and_rate_limit
from atomic_web.context import BASE_PATH, AppContext
from atomic_web.error_handlers import register_errors
from atomic_web.http.ids import Segment, Whole
from atomic_web.http.responses import JsonResponse
from atomic_web.http.security_headers import allow_origins
from atomic_web.middleware import RequestContextMiddleware
from atomic_web.views import (
    accounts,
    api_keys,
    audit_log,
    batches,
    health,
    holds,
    idempotency_keys,
    lists,
    merchants,
    openapi,
    payments,
    refunds,
    timeline,
)


class _Flask(Flask):
    response_class = JsonResponse

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing here is a coroutine; to look for that takes longer than most of it."""
        return func


def create_app(application: Application, settings: Settings) -> Flask:
    app = _Flask(__name__, static_folder=None, template_folder=None)
    # For whatever reads a body but body.py, which sets its own.
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit
    # One address per thing: `//payments` is unknown, not redirected to where Host says.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.url_map.converters |= {"default": Segment, "whole": Whole}

    modules = (
        *(health, payments, batches, holds, refunds, timeline, accounts, lists),
        *(merchants, api_keys, audit_log, idempotency_keys, openapi),
    )
    for module in modules:
        views = module.views
        app.register_blueprint(views, url_prefix=f"{BASE_PATH}{views.url_prefix or ''}")

    app.before_request(authenticate_and_rate_limit)
    allow_origins(app, settings)
    register_errors(app)

    app.wsgi_app = RequestContextMiddleware(app.wsgi_app, AppContext(application, settings))
    if settings.trusted_proxies:
        # Only the address: a client must not choose the scheme, host or path we think we have.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)
    return app
