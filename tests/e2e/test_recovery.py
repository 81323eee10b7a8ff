"""Workers are killed, Valkey goes away, processes are asked to stop: no payment is lost."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from redis import Redis

from processes import LEASE_SECONDS, PAUSE, Client, Reply, System, wait_until
from replaceable_valkey import ReplaceableValkey

WITHOUT_LEASE_SECONDS = LEASE_SECONDS / 2
"""A guard, not a promise: what is settled within it was not recovered by the end of a lease.
`make faults` measures how long recovery takes."""

KILLS = 2
"""The second worker also finds what the first one left."""


@pytest.fixture
def without_valkey(
    replaceable_valkey: ReplaceableValkey, client: Client, system: System
) -> Iterator[None]:
    client.pay()
    replaceable_valkey.kill()
    yield
    replaceable_valkey.start()
    system.kill("worker")
    system.start("worker")


@pytest.mark.usefixtures("without_valkey")
def test_without_valkey_payments_are_accepted_and_settled_by_the_sweeper(
    client: Client, system: System
) -> None:
    for _ in range(5):
        accepted = client.pay()
        assert accepted.status == 202
        is_settled = partial(client.is_settled, accepted.data["id"])
        wait_until(is_settled, WITHOUT_LEASE_SECONDS, "the sweeper settles the payment")
    ready = client.request("GET", "/health/ready")
    assert (ready.status, ready.data["status"]) == (200, "degraded")
    assert system.is_ledger_clean()


class PaymentLoad:
    """Threads that create payments until stopped, and keep every response."""

    def __init__(self, client: Client, threads: int = 4) -> None:
        self.client = client
        self.replies: list[Reply] = []
        self.failures: list[Exception] = []
        self._stop_requested = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> "PaymentLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop_requested.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        while not self._stop_requested.is_set():
            try:
                self.replies.append(self.client.pay(1))
            except OSError as error:
                self.failures.append(error)
            # Leaves CPU time to the processes under test.
            PAUSE.wait(0.05)

    @property
    def accepted_ids(self) -> list[str]:
        return [reply.data["id"] for reply in self.replies if reply.status == 202]

    def await_replies(self, count: int) -> None:
        """Wait until `count` more payments have been answered."""
        target = len(self.replies) + count
        wait_until(lambda: len(self.replies) >= target, 60, f"{count} more payments are answered")

    def await_success(self, system: System) -> None:
        """Wait until every payment that was answered 202 is SUCCESS, sooner than a lease ends."""
        wait_until(
            lambda: not self._unsuccessful_ids(system),
            WITHOUT_LEASE_SECONDS,
            "all accepted payments succeed",
        )

    def _unsuccessful_ids(self, system: System) -> set[str]:
        with psycopg.connect(system.superuser_url) as connection:
            rows = connection.execute("SELECT id::text FROM payments WHERE status = 'SUCCESS'")
            return set(self.accepted_ids) - {id for (id,) in rows}


def test_flushed_valkey_loses_no_payment(client: Client, system: System) -> None:
    with PaymentLoad(client) as load, Redis.from_url(system.environ["REDIS_URL"]) as redis:
        for _ in range(5):
            redis.flushdb()
            load.await_replies(10)
    assert not load.failures
    assert {reply.status for reply in load.replies} == {202}
    load.await_success(system)
    assert system.is_ledger_clean()


def test_repeatedly_killed_worker_settles_each_payment_once(
    client: Client, account: dict[str, str], system: System
) -> None:
    balance_before = client.balance(account["accountId"])
    with PaymentLoad(client) as load:
        for _ in range(KILLS):
            batches_so_far = _count_worker_batches(system)
            with _world_account_locked(system):
                wait_until(lambda: _is_waiting_for_a_lock(system), 60, "a settler waits for World")
                system.kill("worker")
            system.start("worker")
            wait_until(
                lambda so_far=batches_so_far: _count_worker_batches(system) > so_far,
                60,
                "the new worker settles",
            )
        load.stop()
        load.await_success(system)
    assert not load.failures
    assert client.balance(account["accountId"]) == balance_before + len(load.accepted_ids)
    assert system.is_ledger_clean()


def test_worker_killed_while_posting_is_recovered_before_its_lease_ends(
    client: Client, system: System
) -> None:
    # Without the sweeper it is certain that the worker claims the payments.
    system.stop("sweeper")
    reclaimed_before = _count_reclaimed_payments(system)
    batches_before = _count_worker_batches(system)
    with _world_account_locked(system):
        accepted_ids = [client.pay().data["id"] for _ in range(20)]
        wait_until(lambda: _is_waiting_for_a_lock(system), 60, "the worker waits for World")
        system.kill("worker")
    system.start("sweeper")
    wait_until(
        lambda: all(map(client.is_settled, accepted_ids)),
        WITHOUT_LEASE_SECONDS,
        "all payments are settled",
    )
    assert {client.status(id) for id in accepted_ids} == {"SUCCESS"}
    assert batches_before == _count_worker_batches(system), "the worker finished its batch"
    assert _count_reclaimed_payments(system) > reclaimed_before, "the worker had claimed nothing"
    assert system.is_ledger_clean()
    system.start("worker")


@contextmanager
def _world_account_locked(system: System) -> Iterator[None]:
    """Settlers claim payments and call the network, then wait inside their posting transaction."""
    with psycopg.connect(system.superuser_url) as blocker:
        blocker.execute("SELECT FROM accounts WHERE allow_negative FOR NO KEY UPDATE")
        yield


def _count_worker_batches(system: System) -> int:
    return system.read_log().count('"by":"worker"')


def _count_reclaimed_payments(system: System) -> int:
    """Payments that were claimed again after the first claim was abandoned."""
    return system.query_number("SELECT count(*) FROM payments WHERE attempt > 1")


def _count_payments_in_processing(system: System) -> int:
    return system.query_number("SELECT count(*) FROM payments WHERE status = 'PROCESSING'")


def test_request_in_flight_is_answered_after_sigterm(
    client: Client, system: System, account: dict[str, str]
) -> None:
    key = str(uuid4())
    with (
        psycopg.connect(system.superuser_url) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):
        # Stands for a first request with this key that is still open: the second waits for it.
        blocker.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " VALUES (%s, %s, 'POST', '/', sha256(''), now() + interval '1 hour')",
            [account["merchantId"], key],
        )
        reply = threads.submit(lambda: client.pay(Idempotency_Key=key))
        wait_until(lambda: _is_waiting_for_a_lock(system), 60, "the request waits")
        system.running["api"].send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in system.read_log(), 60, "the API stops")
        blocker.rollback()
        assert reply.result(60).status == 202
    assert system.running["api"].wait(60) == 0
    system.start("api")


def _is_waiting_for_a_lock(system: System) -> bool:
    waiting = system.query_number(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return waiting > 0


@pytest.mark.parametrize("name", ["worker", "sweeper"])
def test_sigterm_ends_a_settler_between_two_batches(
    client: Client, system: System, name: str
) -> None:
    with PaymentLoad(client) as load:
        load.await_replies(20)
        system.running[name].send_signal(signal.SIGTERM)
        assert system.running[name].wait(60) == 0
        system.start(name)
    load.await_success(system)
    assert _count_payments_in_processing(system) == 0
    assert system.is_ledger_clean()
