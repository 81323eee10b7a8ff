"""Requests that wait for an event while PostgreSQL goes away and comes back."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.event_reader import BatchedEventReader
from atomic_adapters.event_signal import PollingEventSignal
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import EventFilter, StreamEvent
from atomic_core.domain.lists import Page
from atomic_core.domain.merchants import Caller
from atomic_core.use_cases.events import ListEvents
from processes import wait_until
from support import add_merchant, build_application, build_payment

SECONDS = 30
"""Longer than any wait here takes, unless it is to end by itself."""


@dataclass
class WaitingSystem:
    url: str
    store: PostgresStore
    application: Application
    signal: PollingEventSignal
    list_events: ListEvents
    merchant_id: UUID
    caller: Caller

    def wait(self, after: int, seconds: float) -> Page[StreamEvent]:
        filters = EventFilter(after=after)
        return self.list_events(
            self.caller, filters, 20, is_oldest_first=True, wait_seconds=seconds
        )

    def await_waiting(self, count: int) -> None:
        wait_until(lambda: self.signal._waiting == count, 60, f"{count} requests wait")

    def is_database_up(self) -> bool:
        try:
            with self.store.begin() as work:
                return work.now() is not None
        except StorageUnavailable:
            return False


@pytest.fixture
def system(
    own_database: Callable[..., str], migrated: str, settings_for: Callable[..., Settings]
) -> Iterator[WaitingSystem]:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    key = application.api_keys.issue(merchant_id, "waiting").key
    signal = PollingEventSignal(store.begin, connections=100)
    reader = BatchedEventReader(store.begin)
    yield WaitingSystem(
        url, store, application, signal, ListEvents(reader, signal), merchant_id, key.caller
    )
    signal.stop()
    wait_until(lambda: signal._thread is None, 60, "the poller has ended")
    store.close()


@contextmanager
def database_away(postgres: EmbeddedPostgres, url: str) -> Iterator[None]:
    name = conninfo_to_dict(url)["dbname"]
    allow = f"ALTER DATABASE {name} ALLOW_CONNECTIONS"
    end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"{allow} false".encode())
        try:
            connection.execute(end_sessions, (name,))
            yield
        finally:
            connection.execute(f"{allow} true".encode())


def test_waits_survive_an_outage(system: WaitingSystem, postgres: EmbeddedPostgres) -> None:
    with ThreadPoolExecutor(2) as threads:
        short = threads.submit(system.wait, 0, 2.0)
        long = threads.submit(system.wait, 0, SECONDS)
        system.await_waiting(2)
        with database_away(postgres, system.url):
            with pytest.raises(StorageUnavailable):
                short.result(SECONDS)
            assert not long.done()
        wait_until(system.is_database_up, 60, "the pool has connected again")
        system.application.payments.record(build_payment(system.merchant_id))
        assert [event.sequence for event in long.result(SECONDS).items] == [1]


def test_wait_holds_no_connection(system: WaitingSystem) -> None:
    """More requests wait than there are connections, and a payment is recorded meanwhile."""
    count = 30
    with ThreadPoolExecutor(count) as threads:
        waits = [threads.submit(partial(system.wait, 0, SECONDS)) for _ in range(count)]
        system.await_waiting(count)
        system.application.payments.record(build_payment(system.merchant_id))
        pages = [wait.result(SECONDS) for wait in waits]
    assert [[event.sequence for event in page.items] for page in pages] == [[1]] * count
