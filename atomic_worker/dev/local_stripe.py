"""localstripe in place of Stripe, so that `make run CARD_NETWORK=stripe` works without a key."""

import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from atomic_adapters.embedded.child_process import start_child
from atomic_adapters.network_settings import SECRET_KEY
from atomic_worker.dev.child import LaunchedProcess

HOST: Final = "127.0.0.1"

PORT: Final = 8420
"""localstripe's own. If another process has it, any other is taken."""

KEY: Final = "sk_test_localstripe"
"""localstripe takes any."""

SOURCE: Final = "pm_card_visa"
"""localstripe knows no tokens."""

START: Final = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None
web.run_app(server.app, host=sys.argv[1], port=int(sys.argv[2]), access_log=None, print=None)
"""
"""Its own command listens on all addresses, and keeps what it has in one file per machine."""

MISSING: Final = (
    "CARD_NETWORK=stripe without STRIPE_SECRET_KEY uses localstripe, which is not installed. "
    "Install it with `make lint`, or set STRIPE_SECRET_KEY."
)


def is_needed(environ: Mapping[str, str]) -> bool:
    """Whether payments go to Stripe and nothing says to which account."""
    has_account = environ.get(SECRET_KEY) or environ.get("STRIPE_API_BASE")
    return environ.get("CARD_NETWORK") == "stripe" and not has_account


def choose_port() -> int:
    """A port that is free. Raises ClickException if localstripe is not installed."""
    if find_spec("localstripe") is None:
        raise click.ClickException(MISSING)
    with socket.socket() as probe:
        # As the server does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            probe.bind((HOST, 0))
        return probe.getsockname()[1]


def build_url(port: int) -> str:
    return f"http://{HOST}:{port}"


def launch(port: int, log_path: Path) -> LaunchedProcess:
    """It begins empty."""
    with log_path.open("ab") as log:
        command = [sys.executable, "-c", START, HOST, str(port)]
        return LaunchedProcess(start_child(command, stdout=log, stderr=log))
