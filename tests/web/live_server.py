"""The WSGI app that test_server.py starts in gunicorn: in memory, with a fixed API key."""

import hashlib
from typing import Final

from atomic_adapters.wiring import in_memory
from atomic_web.app import create_app
from web.web_client import NO_LIMITS, settings

KEY: Final = "sk_test_" + "5" * 48

application = in_memory()
_merchant = application.merchants.add("Served")
application.api_keys.adopt(_merchant.id, "served", hashlib.sha256(KEY.encode()).digest())

app = create_app(application, settings(**NO_LIMITS))
