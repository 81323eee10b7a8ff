"""How long other clients wait while one client misuses the API."""

import hashlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from bench import hostile_clients
from bench.large_ledger import insert_settled_payments
from bench.measurement import BenchError, Measurement, Target, percentile
from bench.merchants import Merchant, create_merchants, insert_open_payments
from bench.options import Sizes
from bench.servers import BenchCluster, SystemUnderTest
from processes import PAUSE, Client, wait_until

SCRIPT: Final = Path(hostile_clients.__file__)

PAUSE_SECONDS: Final = 0.02
"""Between two requests of the client that is measured: it samples waiting, and adds no load."""

WARM_UP_SECONDS: Final = 1.0
"""From the start of the attack until the first sample."""

HELD_KEYS: Final = 1_000

DASHBOARD_SAMPLES: Final = 50
"""Per repeat."""

WORST: Final = Target(1_000, "ms", at_least=False)
MEDIAN: Final = Target(100, "ms", at_least=False)
DASHBOARD: Final = Target(2, at_least=False)

QUIET_SECONDS: Final = 60
"""Only stops a run that hangs."""

_IS_WAITING: Final = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"

_DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass
class Samples:
    """Milliseconds of each request of the client that is measured, and its failures."""

    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def median(self) -> float:
        return percentile(self.milliseconds, 50)

    @property
    def worst(self) -> float:
        return max(self.milliseconds)


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("fairness")
    attacker, backlogged, victim = create_merchants(system, 3)
    token, backlogged_token = _add_session(system, attacker), _add_session(system, backlogged)
    with system.connect() as connection:
        insert_settled_payments(connection, [attacker], sizes.dashboard_payments, keys=0)
        insert_open_payments(connection, [backlogged], sizes.dashboard_payments)
        connection.execute("ANALYZE payments")
    system.api.start("api")
    dashboards = _measure_dashboards(system, [token, backlogged_token], victim, sizes)
    port = urlsplit(system.api.base_url).port
    key = {"api_key": attacker.api_key}
    held_keys = [f"held-{number}" for number in range(HELD_KEYS)]
    attacks: list[tuple[str, str, dict[str, object]]] = [
        ("6 connections pipeline", "pipeline", {"connections": 6}),
        ("2 bodies in chunk extensions", "send_chunk_extensions", {"connections": 2}),
        ("8 bodies of empty objects", "send_empty_objects", {"connections": 8, **key}),
        ("4 pairs of crossed keys", "cross_keys", {"connections": 4, **key}),
        ("40 callers of held keys", "use_held_keys", {"connections": 40, "keys": held_keys, **key}),
        ("20 dashboards, settled", "read_dashboards", {"connections": 20, "token": token}),
        ("20 dashboards, open", "read_dashboards", {"connections": 20, "token": backlogged_token}),
    ]
    measurements: list[Measurement] = []
    with _hold_keys(system, attacker, held_keys):
        for case, name, arguments in attacks:
            deadlocks = _count_deadlocks(system)
            runs: list[tuple[Samples, Samples]] = []
            for _ in range(sizes.repeats):
                quiet = _sample(system, victim, sizes.fairness_seconds)
                with _attack(name, {"port": port, **arguments}):
                    PAUSE.wait(WARM_UP_SECONDS)
                    runs.append((_sample(system, victim, sizes.fairness_seconds), quiet))
                _await_quiet(system)
            deadlocks = _count_deadlocks(system) - deadlocks
            measurements += _build_measurements(case, runs, deadlocks)
    return measurements + dashboards


def _measure_dashboards(
    system: SystemUnderTest, tokens: Sequence[str], victim: Merchant, sizes: Sizes
) -> list[Measurement]:
    """One dashboard at a time, of merchants with many settled and with many open payments."""
    reference_token = _add_session(system, victim)
    rows: dict[str, list[float]] = {token: [] for token in [*tokens, reference_token]}
    for _ in range(sizes.repeats):
        for token, medians in rows.items():
            medians.append(_time_dashboards(system, token))
    return [
        Measurement(
            figure="fairness",
            case=f"dashboard, {sizes.dashboard_payments:,} {state} payments",
            unit="ms",
            values=rows[token],
            references=rows[reference_token],
            target=DASHBOARD,
            remark="median of GET /merchants/dashboard; reference: a merchant without payments",
        )
        for state, token in zip(("settled", "open"), tokens, strict=True)
    ]


def _time_dashboards(system: SystemUnderTest, token: str) -> float:
    """The median, in milliseconds."""
    client, milliseconds = Client(system.api.base_url, token), []
    for _ in range(DASHBOARD_SAMPLES):
        reply = client.request("GET", "/merchants/dashboard")
        if reply.status != 200:
            raise BenchError(f"a dashboard was answered with {reply.status}")
        milliseconds.append(reply.seconds * 1e3)
    return percentile(milliseconds, 50)


def _build_measurements(
    case: str, runs: list[tuple[Samples, Samples]], deadlocks: int
) -> list[Measurement]:
    failures = sum(during.failures for during, _ in runs)
    count = sum(len(during.milliseconds) for during, _ in runs)
    remark = f"{count} payments, {failures} not accepted, {deadlocks} deadlocks"
    return [
        Measurement(
            figure="fairness",
            case=f"{case}, median",
            unit="ms",
            values=[during.median for during, _ in runs],
            references=[quiet.median for _, quiet in runs],
            target=MEDIAN,
            remark="of another merchant's POST /payments; reference: without the attack",
        ),
        Measurement(
            figure="fairness",
            case=f"{case}, worst",
            unit="ms",
            values=[during.worst for during, _ in runs],
            references=[quiet.worst for _, quiet in runs],
            target=WORST,
            remark=remark,
            extra={
                "notAccepted": failures,
                "deadlocks": deadlocks,
                "p95": [percentile(during.milliseconds, 95) for during, _ in runs],
            },
            is_target_met=None if not failures and not deadlocks else False,
        ),
    ]


def _sample(system: SystemUnderTest, merchant: Merchant, seconds: float) -> Samples:
    """Create payments, each on a connection of its own, and measure each response."""
    client, samples = Client(system.api.base_url, merchant.api_key), Samples()
    end = time.monotonic() + seconds
    while not samples.milliseconds or time.monotonic() < end:
        started = time.perf_counter()
        try:
            is_accepted = client.pay(Idempotency_Key=secrets.token_hex(8)).status == 202
        except OSError:
            is_accepted = False
        samples.milliseconds.append((time.perf_counter() - started) * 1e3)
        samples.failures += not is_accepted
        PAUSE.wait(PAUSE_SECONDS)
    return samples


@contextmanager
def _attack(name: str, arguments: dict[str, object]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), name], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin
    assert process.stderr
    process.stdin.write(json.dumps(arguments).encode())
    process.stdin.close()
    try:
        yield
        if process.poll() is not None:
            raise BenchError(f"{name} ended: {process.stderr.read().decode()}")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _await_quiet(system: SystemUnderTest) -> None:
    """Wait until requests of the attack have ended, and until the API answers: gunicorn replaces
    workers that its watchdog has killed."""
    with system.connect() as connection:

        def is_quiet() -> bool:
            return connection.execute(_IS_WAITING).fetchone() == (False,)

        wait_until(is_quiet, QUIET_SECONDS, "no request of the attack waits for a lock")
    system.api.wait_for_api()


@contextmanager
def _hold_keys(system: SystemUnderTest, merchant: Merchant, keys: list[str]) -> Iterator[None]:
    """Hold Idempotency-Keys in an open transaction, as a stalled first request does."""
    with psycopg.connect(system.url) as connection:
        connection.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " SELECT %s, unnest(%s::text[]), 'POST', '/', sha256(''), now() + interval '1 day'",
            (merchant.id, keys),
        )
        yield
        connection.rollback()


def _count_deadlocks(system: SystemUnderTest) -> int:
    with system.connect() as connection:
        row = connection.execute(_DEADLOCKS).fetchone()
    assert row
    return row[0]


def _add_session(system: SystemUnderTest, merchant: Merchant) -> str:
    """Give the merchant a password, which is not used, and a session; return its token."""
    token = "st_" + secrets.token_hex(32)
    with system.connect() as connection:
        connection.execute(
            "INSERT INTO credentials (merchant_id, email, password_hash, account_id)"
            " VALUES (%s, %s, '$argon2id$unknown', %s)",
            (merchant.id, f"{merchant.id}@example.com", merchant.account.id),
        )
        connection.execute(
            "INSERT INTO sessions (id, merchant_id, hash, expires_at)"
            " VALUES (uuidv7(), %s, %s, now() + interval '1 day')",
            (merchant.id, hashlib.sha256(token.encode()).digest()),
        )
    return token
