"""The whole system with its API behind PgBouncer in transaction mode."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from atomic_adapters.embedded import EmbeddedPostgres
from pgbouncer import run_pgbouncer
from processes import Client, Reply, System, as_application, environment, wait_until
from replaceable_valkey import ReplaceableValkey

CLIENTS = 16
POOL_SIZE = 4


@pytest.fixture(scope="module")
def pooled(
    postgres: EmbeddedPostgres,
    migrated: str,
    replaceable_valkey: ReplaceableValkey,
    scratch: Path,
) -> Iterator[System]:
    direct_url = postgres.create_database(f"pooled_{secrets.token_hex(4)}", template=migrated)
    with run_pgbouncer(direct_url, scratch / "pooled", pool_size=POOL_SIZE) as pgbouncer:
        environ = environment(
            pgbouncer.route(direct_url),
            replaceable_valkey.create_database(),
            DATABASE_POOLER="transaction",
            DATABASE_DIRECT_URL=as_application(direct_url),
        )
        system = System(environ, scratch / "pooled.log")
        try:
            system.start("api", "worker", "sweeper")
            yield system
        finally:
            system.stop()


@pytest.fixture(scope="module")
def client(pooled: System) -> Client:
    return Client(pooled.base_url, pooled.seed()["apiKey"])


def test_payment_is_held_captured_refunded_and_listed(pooled: System, client: Client) -> None:
    held = client.request(
        "POST",
        "/payments",
        {"amount": 5_000, "currency": "USD", "source": "tok_visa", "capture": "manual"},
    )
    assert held.status == 202
    id = held.data["id"]
    wait_until(lambda: client.status(id) == "AUTHORIZED", 60, "the payment is authorized")
    client.request("POST", f"/payments/{id}/capture", {"amount": 3_000})
    wait_until(lambda: client.status(id) == "SUCCESS", 60, "the payment is captured")
    refund = client.request("POST", f"/payments/{id}/refunds", {"amount": 1_000}).data
    path = f"/refunds/{refund['id']}"
    wait_until(lambda: client.request("GET", path).data["status"] == "SUCCESS", 60, "refunded")
    listed = client.request("GET", "/payments?limit=1")
    assert (listed.status, listed.data["items"][0]["id"]) == (200, id)
    assert pooled.is_ledger_clean()


def pay_with_retries(client: Client, key: str) -> Reply:
    """As clients do: 503 asks for it, for example if a key is in use for long."""
    while (reply := client.pay(Idempotency_Key=key)).status == 503:
        assert "Retry-After" in reply.headers
    return reply


def test_concurrent_payments_and_replays_are_answered(pooled: System, client: Client) -> None:
    keys = [str(uuid4()) for _ in range(100)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        replies = list(threads.map(lambda key: pay_with_retries(client, key), keys * 2))
    assert {reply.status for reply in replies} == {202}
    ids = [reply.data["id"] for reply in replies]
    assert len(set(ids)) == len(keys)
    assert ids[: len(keys)] == ids[len(keys) :]
    for id in set(ids):
        wait_until(lambda payment_id=id: client.is_settled(payment_id), 60, "settled")
    assert client.request("GET", "/health/ready").data["status"] == "ready"
    assert pooled.is_ledger_clean()
    assert "database session lost" not in pooled.read_log()


@pytest.mark.parametrize("command", ["worker", "sweep", "sweep --once"])
def test_settlement_does_not_start_through_the_pooler(pooled: System, command: str) -> None:
    log = pooled.log.with_suffix(".refused")
    undirected = System({**pooled.environ, "DATABASE_DIRECT_URL": ""}, log)
    undeclared = System({**undirected.environ, "DATABASE_POOLER": "none"}, log)
    for system, name in ((undirected, "DATABASE_DIRECT_URL"), (undeclared, "DATABASE_URL")):
        result = system.atomic(*command.split())
        assert result.returncode == 1
        assert f"{name}: " in result.stderr
        assert "a pooler in transaction mode" in result.stderr


def test_api_does_not_start_behind_an_undeclared_pooler(pooled: System) -> None:
    environ = {**pooled.environ, **environment(pooled.superuser_url, pooled.environ["REDIS_URL"])}
    environ["DATABASE_POOLER"] = "none"
    result = System(environ, pooled.log).atomic("serve")
    assert result.returncode == 1
    assert "DATABASE_POOLER: DATABASE_URL leads through a pooler" in result.stderr


def test_migrations_and_commands_go_around_the_pooler(pooled: System) -> None:
    assert pooled.atomic("verify").returncode == 0
    environ = {**pooled.environ, "DATABASE_DIRECT_URL": ""}
    refused = System(environ, pooled.log).atomic("migrate", "status")
    assert refused.returncode == 1
    assert "MIGRATION_DATABASE_URL" in refused.stderr
