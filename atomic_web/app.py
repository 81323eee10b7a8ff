"""The web door's composition: one Flask application over one Application."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_web.context import BASE_PATH, EXTENSION, Door
from atomic_web.errors import register_errors
from atomic_web.gate import pass_gate
from atomic_web.rate_limit import show_limits
from atomic_web.request_id import begin_visit, end_visit, show_request_id
from atomic_web.request_log import log_request
from atomic_web.responses import JsonResponse
from atomic_web.security import allow_origins, secure
from atomic_web.views import accounts, health, payments


def create_app(application: Application, settings: Settings) -> Flask:
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.response_class = JsonResponse
    app.extensions[EXTENSION] = Door(application, settings)
    # One byte more than the limit: a chunked body is cut off there without a word, and the
    # byte too many is how body.py sees it.
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit + 1
    # One address per thing: `//payments` is unknown, not redirected to where Host says.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True

    for views in (health.views, payments.views, accounts.views):
        app.register_blueprint(views, url_prefix=f"{BASE_PATH}{views.url_prefix}")

    app.before_request(begin_visit)
    app.before_request(pass_gate)
    # Called last to first: the log line is written when the answer is complete.
    app.after_request(log_request)
    app.after_request(show_request_id)
    app.after_request(show_limits)
    app.after_request(secure)
    allow_origins(app, settings)
    app.teardown_request(end_visit)
    register_errors(app)

    if settings.trusted_proxies:
        # Only the address: a client must not choose the scheme, host or path we think we have.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)
    return app
