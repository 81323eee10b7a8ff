"""The WSGI application. Each gunicorn worker imports it after the fork, because connections opened
in a preloading master cannot be shared with its children."""

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application
from atomic_web.app import create_app

settings = Settings.load()
configure_logging(settings)
app = create_app(build_application(settings), settings)
