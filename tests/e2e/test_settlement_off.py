"""SETTLE=off: a restored database is compared with the card network before anything is settled."""

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from processes import Client, System, environment, wait_until
from replaceable_valkey import ReplaceableValkey

GUARD_SECONDS = 60
PROCESSES = ("worker", "sweeper")


@pytest.fixture
def restored(
    postgres: EmbeddedPostgres,
    migrated: str,
    replaceable_valkey: ReplaceableValkey,
    scratch: Path,
) -> Iterator[System]:
    url = postgres.create_database(f"off_{secrets.token_hex(4)}", template=migrated)
    redis_url = replaceable_valkey.create_database()
    system = System(environment(url, redis_url, HOLD_SECONDS="1"), scratch / "off.log")
    yield system
    system.stop()


def test_nothing_is_settled_nor_expired_until_settlement_is_on(restored: System) -> None:
    restored.environ["SETTLE"] = "off"
    client = Client(restored.base_url, restored.seed()["apiKey"])
    restored.start("api")
    hold = client.request(
        "POST",
        "/payments",
        {"amount": 5_000, "currency": "USD", "source": "tok_visa", "capture": "manual"},
    ).data["id"]
    restored.spawn("settling worker", SETTLE="on")
    wait_until(lambda: client.status(hold) == "AUTHORIZED", GUARD_SECONDS, "it is authorized")
    restored.stop("settling worker")

    restored.start(*PROCESSES)
    for name in PROCESSES:
        line = f'"process":"{name}"'
        wait_until(lambda text=line: text in restored.read_log(), GUARD_SECONDS, f"{name} waits")
    open_id = client.pay().data["id"]
    has_expired = "SELECT count(*) FROM payments WHERE phase = 'AUTHORIZED' AND expires_at < now()"
    wait_until(lambda: restored.query_number(has_expired) == 1, GUARD_SECONDS, "the hold is old")
    ready = client.request("GET", "/health/ready")
    assert (ready.status, ready.data["status"]) == (200, "degraded")
    assert ready.data["checks"]["settlement"] == "down"
    for name in PROCESSES:
        assert restored.running[name].poll() is None
        restored.kill(name, signal.SIGTERM)
        assert restored.running[name].wait(GUARD_SECONDS) == 0
    assert (client.status(open_id), client.status(hold)) == ("PENDING", "AUTHORIZED")

    restored.spawn("sweeper", SETTLE="on")
    wait_until(lambda: client.is_settled(open_id), GUARD_SECONDS, "the payment is settled")
    wait_until(lambda: client.status(hold) != "AUTHORIZED", GUARD_SECONDS, "the hold expires")
