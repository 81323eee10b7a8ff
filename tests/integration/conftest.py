"""Fixtures of tests that send webhooks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

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
