"""The whole of it, as its users meet it: HTTP in, settled payments and clean books out."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from processes import PAUSE, Client, Reply, System, environment, eventually

LEASE_SECONDS = 2


@pytest.fixture(scope="module")
def valkey_folder(scratch: Path) -> Path:
    return scratch / "e2e-valkey"


@pytest.fixture(scope="module")
def bell(valkey_folder: Path) -> Iterator[list[EmbeddedValkey]]:
    """The Valkey of this system, in a box: tests kill it and put another in its place."""
    box = [EmbeddedValkey.start(valkey_folder)]
    yield box
    box[0].stop()


@pytest.fixture(scope="module")
def system(
    postgres: EmbeddedPostgres, migrated: str, bell: list[EmbeddedValkey], scratch: Path
) -> Iterator[System]:
    url = postgres.create_database("e2e", template=migrated)
    lease = str(LEASE_SECONDS)
    environ = environment(url, bell[0].url, SETTLE_LEASE_SECONDS=lease, SETTLE_BATCH="50")
    system = System(environ, scratch / "e2e.log")
    try:
        system.start("api", "worker", "sweeper")
        yield system
    finally:
        system.stop()


@pytest.fixture(scope="module")
def account(system: System) -> dict[str, str]:
    """A merchant of these tests' own: its ids and its key."""
    seeded = system.atomic("seed", "--json")
    assert seeded.returncode == 0, seeded.stderr
    return json.loads(seeded.stdout)


@pytest.fixture
def client(system: System, account: dict[str, str]) -> Client:
    return Client(system.base_url, account["apiKey"])


def settled(client: Client, payment_id: str) -> Callable[[], bool]:
    return lambda: client.status(payment_id) in ("SUCCESS", "FAILED")


def books_are_clean(system: System) -> bool:
    verified = system.atomic("verify", "--json")
    return verified.returncode == 0 and json.loads(verified.stdout)["clean"]


def test_a_payment_succeeds_within_a_second_and_the_balance_grows(
    client: Client, account: dict[str, str], system: System
) -> None:
    before = client.balance(account["accountId"])
    accepted = client.pay(5_000)
    assert (accepted.status, accepted.data["status"]) == (202, "PENDING")
    eventually(settled(client, accepted.data["id"]), 1, "the payment is settled")
    assert client.status(accepted.data["id"]) == "SUCCESS"
    assert client.balance(account["accountId"]) == before + 5_000
    assert books_are_clean(system)


def test_a_declined_payment_fails_and_moves_nothing(
    client: Client, account: dict[str, str]
) -> None:
    before = client.balance(account["accountId"])
    id = client.pay(source="tok_chargeDeclined").data["id"]
    eventually(settled(client, id), 1, "the payment is settled")
    payment = client.payment(id)
    assert (payment["status"], payment["failureReason"]) == ("FAILED", "card_declined")
    assert client.balance(account["accountId"]) == before


def test_fifty_requests_at_once_with_one_key_make_one_payment(
    client: Client, account: dict[str, str]
) -> None:
    before = client.balance(account["accountId"])
    key = str(uuid4())
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: client.pay(700, Idempotency_Key=key), range(50)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.raw for reply in replies}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) == 1
    eventually(settled(client, replies[0].data["id"]), 2, "the payment is settled")
    assert client.balance(account["accountId"]) == before + 700
    assert client.pay(701, Idempotency_Key=key).code == "idempotency_key_reused"


def test_a_second_api_on_the_same_port_does_not_start(system: System) -> None:
    """The kernel would share the port between them, without a word."""
    second = system.atomic("serve")
    assert second.returncode == 1
    assert f"Port {system.environ['PORT']}" in second.stderr


def test_a_refused_request_leaves_its_key_unused(client: Client) -> None:
    key = str(uuid4())
    assert client.pay(-1, Idempotency_Key=key).status == 400
    assert client.pay(1, Idempotency_Key=key).status == 202


def test_a_revoked_key_stops_at_once(
    client: Client, account: dict[str, str], system: System
) -> None:
    made = system.atomic("keys", "create", "--name", "doomed", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    doomed = Client(system.base_url, key["apiKey"])
    assert doomed.pay().status == 202
    assert system.atomic("keys", "revoke", key["id"]).returncode == 0
    assert doomed.pay().status == 401


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
        eventually(settled(client, accepted.data["id"]), 2, "the sweeper settles the payment")
    ready = client.ask("GET", "/health/ready")
    assert (ready.status, ready.data["status"]) == (200, "degraded")
    assert books_are_clean(system)


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
    assert books_are_clean(system)


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
        load.all_succeed(system, within=LEASE_SECONDS + 2)
    assert not load.failures
    assert client.balance(account["accountId"]) == before + len(load.accepted)
    assert books_are_clean(system)
    assert _taken_over(system) > 0, "else no kill hit a batch, and this proves nothing"
    # Taken over as soon as the lease has ended: by the bell, or within two sweeps.
    assert longest.seconds < LEASE_SECONDS + 1.5


def _batches_of_the_worker(system: System) -> int:
    return system.words().count('"by": "worker"')


def _taken_over(system: System) -> int:
    """Payments that were claimed again after somebody had died with them."""
    return _number(system, "SELECT count(*)::float FROM payments WHERE attempt > 1")


def _longest_in_processing(system: System) -> float:
    return _number(
        system,
        "SELECT coalesce(extract(epoch FROM max(now() - updated_at)), 0)::float"
        "  FROM payments WHERE status = 'PROCESSING'",
    )


def _number(system: System, question: LiteralString) -> Any:
    with psycopg.connect(system.environ["DATABASE_URL"]) as connection:
        row = connection.execute(question).fetchone()
    assert row
    return row[0]


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
    waiting = _number(
        system,
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
    assert books_are_clean(system)


def test_the_documented_limits_hold(
    system: System, account: dict[str, str], bell: list[EmbeddedValkey], scratch: Path
) -> None:
    with Redis.from_url(bell[0].url) as redis:
        redis.flushall()
    environ = {**system.environ, **environment(system.environ["DATABASE_URL"], bell[0].url)}
    for name in ("RATE_LIMIT_GLOBAL", "RATE_LIMIT_PAYMENTS"):
        del environ[name]
    limited = System(environ, scratch / "limited.log")
    try:
        limited.start("api")
        client = Client(limited.base_url, account["apiKey"])
        payments = [client.pay() for _ in range(11)]
        assert [reply.status for reply in payments] == [202] * 10 + [429]
        assert payments[-1].code == "rate_limited"
        assert 50 <= int(payments[-1].headers["Retry-After"]) <= 60
        gets = [client.ask("GET", "/health") for _ in range(90)]
        assert [reply.status for reply in gets] == [200] * 89 + [429]
        assert 800 <= int(gets[-1].headers["Retry-After"]) <= 900
        assert gets[0].headers["RateLimit-Policy"] == '"global";q=100;w=900'
        assert gets[0].headers["RateLimit"].startswith('"global";r=88;t=')
        assert client.ask("GET", "/health/live").status == 200
    finally:
        limited.stop()


def test_no_raw_key_is_in_any_log_or_table(
    client: Client, system: System, postgres: EmbeddedPostgres
) -> None:
    Client(system.base_url, "sk_test_wrong_key_of_mine").pay()
    client.ask("GET", f"/payments/{client.key}")
    dump = subprocess.run(
        [postgres.tool("pg_dump"), "--data-only", system.environ["DATABASE_URL"]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Test Merchant" in dump, "else this proves nothing"
    assert '"settled"' in system.words(), "else this proves nothing"
    for secret in (client.key, client.key.removeprefix("sk_test_"), "sk_test_wrong_key_of_mine"):
        assert secret not in system.words()
        assert secret not in dump
