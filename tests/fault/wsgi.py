"""atomic_web.wsgi, with failpoints."""

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_web.app import create_app
from fault.failpoints import build_application_with_failpoints

settings = Settings.load()
configure_logging(settings)
app = create_app(build_application_with_failpoints(settings), settings)
