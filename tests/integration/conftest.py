"""Fixtures of integration tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.networks.stripe import StripeCardNetwork
from integration.bulk_load import create_filled_database
from integration.million_payments import FILL
from stripe_claims import build_network
from stripe_rules import RecordingProxy
from stripe_server import run_localstripe, run_proxy
from webhook_receivers import Handler, Receiver
from webhook_senders import SENDERS


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """Starts receivers, which end with the test."""
    with ExitStack() as stack:

        def start(handle: Handler, **options: Any) -> Receiver:
            return stack.enter_context(Receiver(handle, **options).run())

        yield start


@pytest.fixture(autouse=True)
def closed_senders() -> Iterator[None]:
    yield
    while SENDERS:
        SENDERS.pop().close()


@pytest.fixture(scope="session")
def full_database(postgres: EmbeddedPostgres, migrated: str) -> Iterator[str]:
    """The URL of a database with many payments, for files that tests/scheduling.py runs in
    one process."""
    url = create_filled_database(postgres, "full", migrated, FILL)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    yield url
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute('DROP DATABASE "full" WITH (FORCE)')


@pytest.fixture(scope="session")
def stripe_port() -> Iterator[int]:
    """Of a localstripe that the tests of a process share."""
    with run_localstripe() as port:
        yield port


@pytest.fixture
def proxy(stripe_port: int) -> Iterator[RecordingProxy]:
    with run_proxy(stripe_port) as proxy:
        yield proxy


@pytest.fixture
def network(proxy: RecordingProxy) -> Iterator[StripeCardNetwork]:
    with closing(build_network(proxy.url)) as network:
        yield network


@pytest.fixture
def redirecting_network(proxy: RecordingProxy) -> Iterator[StripeCardNetwork]:
    """One that supports 3-D Secure."""
    with closing(build_network(proxy.url, return_url="https://shop.example/paid")) as network:
        yield network
