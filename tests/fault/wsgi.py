"""atomic_web.wsgi, with failpoints."""

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_web.app import create_app
from fault.failpoints import watched_production

settings = Settings.load()
configure_logging(settings)
app = create_app(watched_production(settings), settings)
