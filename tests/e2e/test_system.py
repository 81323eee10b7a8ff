"""The whole system over HTTP: payments in, settlements and a balanced ledger out."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres
from processes import Client, System, environment, wait_until


def test_payment_succeeds_and_credits_the_balance(
    client: Client, account: dict[str, str], system: System
) -> None:
    balance_before = client.balance(account["accountId"])
    accepted = client.pay(5_000)
    assert (accepted.status, accepted.data["status"]) == (202, "PENDING")
    wait_until(lambda: client.is_settled(accepted.data["id"]), 60, "the payment is settled")
    assert client.status(accepted.data["id"]) == "SUCCESS"
    assert client.balance(account["accountId"]) == balance_before + 5_000
    assert system.is_ledger_clean()


def test_declined_payment_fails_and_posts_nothing(client: Client, account: dict[str, str]) -> None:
    balance_before = client.balance(account["accountId"])
    id = client.pay(source="tok_chargeDeclined").data["id"]
    wait_until(lambda: client.is_settled(id), 60, "the payment is settled")
    payment = client.payment(id)
    assert (payment["status"], payment["failureReason"]) == ("FAILED", "card_declined")
    assert client.balance(account["accountId"]) == balance_before


def test_fifty_concurrent_requests_with_one_key_create_one_payment(
    client: Client, account: dict[str, str]
) -> None:
    balance_before = client.balance(account["accountId"])
    key = str(uuid4())
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: client.pay(700, Idempotency_Key=key), range(50)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.raw for reply in replies}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) == 1
    wait_until(lambda: client.is_settled(replies[0].data["id"]), 60, "the payment is settled")
    assert client.balance(account["accountId"]) == balance_before + 700
    assert client.pay(701, Idempotency_Key=key).code == "idempotency_key_reused"


def test_second_api_on_the_same_port_does_not_start(system: System) -> None:
    """With SO_REUSEPORT the kernel would let both listen and split the connections."""
    second = system.atomic("serve")
    assert second.returncode == 1
    assert f"Port {system.environ['PORT']}" in second.stderr


def test_refused_request_leaves_its_key_unused(client: Client) -> None:
    key = str(uuid4())
    assert client.pay(-1, Idempotency_Key=key).status == 400
    assert client.pay(1, Idempotency_Key=key).status == 202


def test_revoked_key_is_refused_from_its_commit(
    client: Client, account: dict[str, str], system: System
) -> None:
    created = system.atomic("keys", "create", "--name", "revoked", "--json")
    assert created.returncode == 0, created.stderr
    key = json.loads(created.stdout)
    revoked = Client(system.base_url, key["apiKey"])
    assert revoked.pay().status == 202
    assert system.atomic("keys", "revoke", key["id"]).returncode == 0
    assert revoked.pay().status == 401


def test_documented_default_rate_limits_apply(
    system: System, account: dict[str, str], scratch: Path
) -> None:
    redis_url = system.environ["REDIS_URL"]
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    environ = {**system.environ, **environment(system.superuser_url, redis_url)}
    for name in ("RATE_LIMIT_GLOBAL", "RATE_LIMIT_PAYMENTS"):
        del environ[name]
    limited = System(environ, scratch / "limited.log")
    try:
        limited.start("api")
        client = Client(limited.base_url, account["apiKey"])
        payments = [client.pay() for _ in range(11)]
        assert [reply.status for reply in payments] == [202] * 10 + [429]
        assert payments[-1].code == "rate_limited"
        assert 1 <= int(payments[-1].headers["Retry-After"]) <= 60
        gets = [client.request("GET", "/accounts") for _ in range(90)]
        assert [reply.status for reply in gets] == [200] * 89 + [429]
        assert 1 <= int(gets[-1].headers["Retry-After"]) <= 900
        assert gets[0].headers["RateLimit-Policy"] == '"global";q=100;w=900'
        assert gets[0].headers["RateLimit"].startswith('"global";r=88;t=')
        assert client.request("GET", "/health/live").status == 200
    finally:
        limited.stop()


def test_raw_keys_are_in_no_log_and_no_table(
    client: Client, system: System, postgres: EmbeddedPostgres
) -> None:
    Client(system.base_url, "sk_test_wrong_key_of_mine").pay()
    client.request("GET", f"/payments/{client.key}")
    dump = subprocess.run(
        [postgres.tool("pg_dump"), "--data-only", system.superuser_url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Test Merchant" in dump, "the dump or the log is empty"
    assert '"batch settled"' in system.read_log(), "the dump or the log is empty"
    for secret in (client.key, client.key.removeprefix("sk_test_"), "sk_test_wrong_key_of_mine"):
        assert secret not in system.read_log()
        assert secret not in dump
