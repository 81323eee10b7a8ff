"""What gunicorn's workers load, each for itself after the fork: never in a preloading master,
whose connections its children could not use."""

from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import production
from atomic_web.app import create_app

settings = Settings.load()
configure_logging(settings)
app = create_app(production(settings), settings)
