"""Presence in PostgreSQL: it ends with the process, however that ends, and with nothing else."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from atomic_adapters.embedded.roles import create_roles
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_adapters.settings import Settings
from processes import PAUSE, as_application, wait_until
from support import HOUR, NOW, Store, add_merchant, build_application, build_payment, open_account
from worker_processes import WorkerProcess

# Claims everything that is due, as the real settler does, for an hour, and says how much.
SETTLER = """
import sys
from dataclasses import replace
from datetime import timedelta
from threading import Event
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application

class Network(SandboxCardNetwork):
    def authorize(self, claims):
        print(len(claims), flush=True)
        if sys.argv[2] == "silent":
            Event().wait()
        return super().authorize(claims)

settings = Settings.from_environ(
    {
        "DATABASE_URL": sys.argv[1],
        "LOCK_TIMEOUT_SECONDS": "600",
        "STATEMENT_TIMEOUT_SECONDS": "600",
    }
)
settle = build_application(settings).settlement.settle
replace(settle, card_network=Network(), lease=timedelta(hours=1))()
"""


@pytest.fixture
def pay(postgres_store: Store) -> Callable[[], object]:
    merchant_id = add_merchant(postgres_store.begin)
    open_account(postgres_store.begin, merchant_id)
    application = build_application(postgres_store.begin)
    return lambda: application.payments.record(build_payment(merchant_id))


@pytest.fixture
def start(
    database_url: str, pay: Callable[[], object]
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start a process that claims three payments for an hour."""
    with ExitStack() as started:

        def start(network: str) -> subprocess.Popen[bytes]:
            for _ in range(3):
                pay()
            command = [sys.executable, "-c", SETTLER, as_application(database_url), network]
            process = started.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            started.callback(process.kill)
            assert process.stdout
            assert process.stdout.readline() == b"3\n"
            return process

        yield start


def claim(store: Store, process: WorkerProcess) -> list[int]:
    """The attempts of what a sweeper would claim, to which nothing is overdue."""
    number = process.worker_id()
    with store.begin() as work:
        claims = work.payments.claim(100, HOUR, HOUR, number)
        work.commit()
    return [each.attempt for each in claims]


def test_claims_of_a_killed_process_are_due_at_once(
    postgres_store: Store, start: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    us, settler = postgres_store.start_worker(), start("silent")
    assert claim(postgres_store, us) == []
    settler.kill()
    settler.wait()
    wait_until(lambda: claim(postgres_store, us) == [2, 2, 2], 60, "its claims are taken over")


def test_suspended_worker_keeps_its_claims(
    postgres_store: Store, start: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    us, settler = postgres_store.start_worker(), start("silent")
    settler.send_signal(signal.SIGSTOP)
    for _ in range(10):
        assert claim(postgres_store, us) == []
        PAUSE.wait(0.05)


def test_backend_of_a_killed_process_stops_waiting(
    database_url: str, postgres_store: Store, start: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """Its locks on the payments would keep other workers from claiming them."""
    us = postgres_store.start_worker()
    with psycopg.connect(database_url) as poster:
        poster.execute("SELECT FROM accounts WHERE allow_negative FOR NO KEY UPDATE")
        settler = start("answers")
        wait_until(lambda: waits_for_a_lock(database_url), 60, "it waits for the World account")
        settler.kill()
        settler.wait()
        wait_until(lambda: claim(postgres_store, us) == [2, 2, 2], 60, "they are taken over")


def waits_for_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        waiting = connection.execute(
            "SELECT FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return waiting.rowcount > 0


def cut(url: str, application_name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [application_name],
        ).fetchall()
    assert ended, "else this proves nothing"


def test_cut_session_is_replaced_with_a_new_worker_id(
    database_url: str, postgres_store: Store, pay: Callable[[], object]
) -> None:
    us, others = postgres_store.start_worker(), postgres_store.start_worker()
    before = us.worker_id()
    cut(database_url, "atomic worker liveness")
    after = us.worker_id()
    assert None not in {before, after}
    assert before != after
    pay()
    with postgres_store.begin() as work:
        assert len(work.payments.claim(100, HOUR, NOW, after)) == 1
        work.commit()
    assert claim(postgres_store, others) == [], "what is claimed under the new one is kept"


def test_cut_pool_connections_keep_the_worker_registered(
    database_url: str, postgres_store: Store
) -> None:
    us = postgres_store.start_worker()
    add_merchant(postgres_store.begin)
    before = us.worker_id()
    cut(database_url, "atomic")
    assert us.worker_id() == before


def test_settlement_continues_without_worker_registration(
    postgres_store: Store,
    settings_for: Callable[..., Settings],
    pay: Callable[[], object],
) -> None:
    nowhere = Connections(settings_for("postgresql://localhost:1/none"))
    with closing(PostgresWorkerLiveness(nowhere)) as unseen:
        assert unseen.worker_id() is None
        pay()
        application = build_application(postgres_store.begin, worker_liveness=unseen)
        assert application.settlement.settle() == 1
    assert application.ledger.verify().transactions == 1


def test_server_restart_gives_every_worker_a_new_id(
    scratch: Path, settings_for: Callable[..., Settings]
) -> None:
    data = scratch / "presence"
    server = EmbeddedPostgres.start(data)
    create_roles(server)
    url = server.create_database("atomic")
    Migrator(url).up()
    connections = Connections(settings_for(url))
    store = PostgresStore(connections)
    us, other = PostgresWorkerLiveness(connections), PostgresWorkerLiveness(connections)
    try:
        application = build_application(store.begin)
        application.payments.record(build_payment(add_merchant(store.begin)))
        numbers = {us.worker_id(), other.worker_id()}
        with store.begin() as work:
            assert len(work.payments.claim(100, HOUR, NOW, us.worker_id())) == 1
            work.commit()
        server.process.kill()
        server.process.wait()
        server.stop()
        # Backends outlive their postmaster for a moment.
        wait_until(lambda: us.worker_id() is None, 60, "its session is gone")
        server = EmbeddedPostgres.start(data)
        wait_until(us.worker_id, 60, "it is there again")
        assert us.worker_id() not in numbers
        with store.begin() as work:
            [again] = work.payments.claim(100, HOUR, HOUR, us.worker_id())
            work.commit()
        assert again.attempt == 2, "no live worker has the id it was claimed under"
        wait_until(other.worker_id, 60, "the other is there again too")
        with store.begin() as work:
            assert work.payments.claim(100, HOUR, HOUR, other.worker_id()) == []
    finally:
        for worker_liveness in (us, other):
            worker_liveness.close()
        store.close()
        server.stop()
