"""Fixtures of integration tests: localstripe, and the proxy in front of it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from atomic_adapters.networks.stripe import StripeCardNetwork
from stripe_claims import build_network
from stripe_rules import RecordingProxy
from stripe_server import run_localstripe, run_proxy


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
