"""Claims of webhook endpoints end with the process that has them, however that ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from processes import PAUSE, as_application, wait_until
from support import HOUR, Store
from webhook_scenarios import Shop
from worker_processes import WorkerProcess

# Claims what is due, as the real worker does, for more than an hour, and never gets an answer.
DELIVERER = """
import sys
from dataclasses import replace
from datetime import timedelta
from threading import Event
from atomic_adapters.memory.services import MemorySecretCipher
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application

class Sender:
    def send(self, request):
        print(request.id, flush=True)
        Event().wait()

settings = Settings.from_environ({"DATABASE_URL": sys.argv[1]})
deliver = build_application(settings).webhooks.deliver
replace(deliver, sender=Sender(), cipher=MemorySecretCipher(), timeout=timedelta(hours=1))()
"""


@pytest.fixture
def start(
    database_url: str, postgres_store: Store
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a process that sends an event of a new endpoint."""
    with ExitStack() as started:

        def start() -> subprocess.Popen[bytes]:
            shop = Shop(postgres_store)
            shop.add_endpoint()
            shop.add_events(1)
            command = [sys.executable, "-c", DELIVERER, as_application(database_url)]
            process = started.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            started.callback(process.kill)
            assert process.stdout
            assert process.stdout.readline().decode().strip() == shop.list_event_ids()[0]
            return process

        yield start


def claim(store: Store, process: WorkerProcess) -> list[int]:
    """The numbers of the claims of a sweeper to which nothing is overdue."""
    worker_id = process.worker_id()
    with store.begin() as work:
        claims = work.webhook_deliveries.claim(100, HOUR, HOUR, worker_id)
        work.commit()
    return [each.number for each in claims]


def test_endpoint_of_a_killed_process_is_due_at_once(
    postgres_store: Store, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    survivor, deliverer = postgres_store.start_worker(), start()
    assert claim(postgres_store, survivor) == []
    deliverer.kill()
    deliverer.wait()
    wait_until(lambda: claim(postgres_store, survivor) == [2], 60, "its claim is taken over")
    assert claim(postgres_store, postgres_store.start_worker()) == [], "the survivor is alive"


def test_suspended_process_keeps_its_endpoint(
    postgres_store: Store, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    other, deliverer = postgres_store.start_worker(), start()
    deliverer.send_signal(signal.SIGSTOP)
    for _ in range(10):
        assert claim(postgres_store, other) == []
        PAUSE.wait(0.05)
