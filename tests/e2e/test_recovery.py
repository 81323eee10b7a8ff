"""Workers are killed, Valkey goes away, everything is asked to stop: no payment minds."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from redis import Redis

from atomic_adapters.embedded import EmbeddedValkey
from processes import PAUSE, RECOVERED_SECONDS, Client, Reply, System, eventually


@pytest.fixture
def without_valkey(
    bell: list[EmbeddedValkey], valkey_folder: Path, client: Client, system: System
) -> Iterator[None]:
    client.pay()
    bell[0].process.kill()
    bell[0].process.wait()
    bell[0].stop()
    yield
    bell[0] = EmbeddedValkey.start(valkey_folder)
    system.kill("worker")
    system.start("worker")


def test_without_valkey_payments_are_taken_as_fast_and_settled_by_the_sweeper(
    client: Client, system: System, request: pytest.FixtureRequest
) -> None:
    usual = sorted(client.pay().seconds for _ in range(9))[4]
    request.getfixturevalue("without_valkey")
    for _ in range(5):
        accepted = client.pay()
        assert accepted.status == 202
        assert accepted.seconds < usual + 0.25
        eventually(partial(client.is_settled, accepted.data["id"]), 2, "the sweeper settles")
    ready = client.ask("GET", "/health/ready")
    assert (ready.status, ready.data["status"]) == (200, "degraded")
    assert system.books_are_clean()


class Load:
    """Callers that pay until told to stop, and remember every answer."""

    def __init__(self, client: Client, callers: int = 4) -> None:
        self.client = client
        self.replies: list[Reply] = []
        self.failures: list[Exception] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _call(self) -> None:
        while not self._over.is_set():
            try:
                self.replies.append(self.client.pay(1))
            except OSError as error:
                self.failures.append(error)
            # Leaves the processes under test some of the machine.
            PAUSE.wait(0.005)

    @property
    def accepted(self) -> list[str]:
        return [reply.data["id"] for reply in self.replies if reply.status == 202]

    def all_succeed(self, system: System, within: float) -> None:
        """Every payment that was answered 202 reaches SUCCESS."""
        eventually(lambda: not self._unsuccessful(system), within, "all payments succeed")

    def _unsuccessful(self, system: System) -> set[str]:
        with psycopg.connect(system.environ["DATABASE_URL"]) as connection:
            rows = connection.execute("SELECT id::text FROM payments WHERE status = 'SUCCESS'")
            return set(self.accepted) - {id for (id,) in rows}


def test_a_flushed_valkey_loses_no_payment(
    client: Client, system: System, bell: list[EmbeddedValkey]
) -> None:
    with Load(client) as load, Redis.from_url(bell[0].url) as redis:
        for _ in range(5):
            redis.flushall()
            PAUSE.wait(0.2)
    assert not load.failures
    assert {reply.status for reply in load.replies} == {202}
    load.all_succeed(system, within=3)
    assert system.books_are_clean()


def test_a_worker_killed_twenty_times_settles_each_payment_once(
    client: Client, account: dict[str, str], system: System
) -> None:
    before = client.balance(account["accountId"])
    with Load(client) as load, LongestInProcessing(system) as longest:
        for _ in range(20):
            settled_so_far = _batches_of_the_worker(system)
            system.kill("worker")
            system.start("worker")
            # Killed again only once it is at work: in a batch as often as between two.
            eventually(
                lambda so_far=settled_so_far: _batches_of_the_worker(system) > so_far,
                10,
                "the new worker settles",
            )
        load.stop()
        load.all_succeed(system, within=RECOVERED_SECONDS)
    assert not load.failures
    assert client.balance(account["accountId"]) == before + len(load.accepted)
    assert system.books_are_clean()
    assert _taken_over(system) > 0, "else no kill hit a batch, and this proves nothing"
    # Taken over at the next bell, or within a sweep.
    assert longest.seconds < RECOVERED_SECONDS


def test_a_worker_killed_in_mid_batch_is_succeeded_within_a_second(
    client: Client, system: System
) -> None:
    ours = "SELECT count(*) FROM payments WHERE attempt > 1"
    taken_over = system.number(ours)
    batches = _batches_of_the_worker(system)
    with psycopg.connect(system.environ["DATABASE_URL"]) as poster:
        # Whoever posts now waits: claimed, authorized, and in the middle of its transaction.
        poster.execute("SELECT FROM accounts WHERE allow_negative FOR NO KEY UPDATE")
        accepted = [client.pay().data["id"] for _ in range(20)]
        eventually(lambda: _waits_for_a_lock(system), 5, "a settler waits for the World account")
        assert _longest_in_processing(system) > 0
        system.kill("worker")
    eventually(lambda: all(map(client.is_settled, accepted)), RECOVERED_SECONDS, "all are settled")
    assert {client.status(id) for id in accepted} == {"SUCCESS"}
    assert batches == _batches_of_the_worker(system), "the worker finished, and proves nothing"
    assert system.number(ours) > taken_over, "it had claimed nothing, and proves nothing"
    assert system.books_are_clean()
    system.start("worker")


def _batches_of_the_worker(system: System) -> int:
    return system.words().count('"by":"worker"')


def _taken_over(system: System) -> int:
    """Payments that were claimed again after somebody had died with them."""
    return system.number("SELECT count(*)::float FROM payments WHERE attempt > 1")


def _longest_in_processing(system: System) -> float:
    return system.number(
        "SELECT coalesce(extract(epoch FROM max(now() - updated_at)), 0)::float"
        "  FROM payments WHERE status = 'PROCESSING'",
    )


class LongestInProcessing:
    """Watches, all the while, for how long any payment has been PROCESSING."""

    def __init__(self, system: System) -> None:
        self.seconds = 0.0
        self._system = system
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "LongestInProcessing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.seconds = max(self.seconds, _longest_in_processing(self._system))


def test_a_request_in_flight_is_answered_after_sigterm(
    client: Client, system: System, account: dict[str, str]
) -> None:
    key = str(uuid4())
    with (
        psycopg.connect(system.environ["DATABASE_URL"]) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):
        # As if a first request with this key were still at work: ours waits for it.
        blocker.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " VALUES (%s, %s, 'POST', '/', sha256(''), now() + interval '1 hour')",
            [account["merchantId"], key],
        )
        reply = threads.submit(lambda: client.pay(Idempotency_Key=key))
        eventually(lambda: _waits_for_a_lock(system), 5, "the request waits")
        system.running["api"].send_signal(signal.SIGTERM)
        PAUSE.wait(0.3)
        blocker.rollback()
        assert reply.result(10).status == 202
    assert system.running["api"].wait(10) == 0
    system.start("api")


def _waits_for_a_lock(system: System) -> bool:
    waiting = system.number(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return waiting > 0


@pytest.mark.parametrize("name", ["worker", "sweeper"])
def test_sigterm_ends_a_settler_between_two_batches(
    client: Client, system: System, name: str
) -> None:
    with Load(client) as load:
        PAUSE.wait(0.3)
        begun = time.monotonic()
        system.running[name].send_signal(signal.SIGTERM)
        assert system.running[name].wait(10) == 0
        assert time.monotonic() - begun < 5
        system.start(name)
    load.all_succeed(system, within=4)
    assert _longest_in_processing(system) == 0
    assert system.books_are_clean()
