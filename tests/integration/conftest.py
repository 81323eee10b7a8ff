"""Fixtures of integration tests: localstripe, and the proxy in front of it."""

from collections.abc import Iterator

import pytest

from stripe_server import RecordingProxy, run_localstripe, run_proxy


@pytest.fixture(scope="session")
def stripe_port() -> Iterator[int]:
    """Of a localstripe that the tests of a process share."""
    with run_localstripe() as port:
        yield port


@pytest.fixture
def proxy(stripe_port: int) -> Iterator[RecordingProxy]:
    with run_proxy(stripe_port) as proxy:
        yield proxy
