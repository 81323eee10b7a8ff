"""Fixtures of integration tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from integration.bulk_load import create_filled_database
from integration.many_payments import FILL
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
