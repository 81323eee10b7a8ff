"""A raw API key or session token appears in the one response that creates it and nowhere else: in
no log line, no other response, no database row, no Valkey entry, however its owner misuses it. A
password appears in no response at all."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import psycopg
import pytest
from psycopg import conninfo
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from processes import (
    Client,
    System,
    environment,
    find_free_port,
    open_application,
    wait_until,
)
from raw_http import BODY, LENGTH, Wire, head
from secret_scan import dump_database, dump_valkey, find_secrets
from slow_clients import PAYMENTS

UNKNOWN = "sk_test_" + "0123456789abcdef" * 3
ORDER = {"amount": 1, "currency": "USD", "source": "tok_visa"}
ACCOUNT = {"name": "Sales", "currency": "USD"}
PASSWORD = "correct-horse-battery-staple-4711"
LOGIN = {"email": "owner@shop.example", "password": PASSWORD}


@dataclass
class RecordedSystem:
    """A system under test, and every response and command output except those that create keys."""

    system: System
    valkey: EmbeddedValkey
    secrets: dict[str, str]
    folder: Path
    responses: list[tuple[str, bytes]] = field(default_factory=list)

    def request(self, key: str, method: str, path: str, body: object = None, **headers: str) -> int:
        reply = Client(self.system.base_url, key).request(method, path, body, **headers)
        self.responses.append((f"{method} {path}", repr(reply.headers).encode() + reply.raw))
        return reply.status

    def send_raw(self, raw: bytes) -> None:
        wire = Wire(int(self.system.environ["PORT"]))
        self.responses.append((f"raw {len(self.responses)}", wire.exchange(raw)))

    def command(self, *arguments: str) -> Any:
        completed = self.system.atomic(*arguments)
        self.responses.append((" ".join(arguments), (completed.stdout + completed.stderr).encode()))
        return completed

    def find_leaks(self) -> list[str]:
        """The places that contain any of the secrets."""
        url = self.system.superuser_url
        logs = [(log.name, log.read_bytes()) for log in self.folder.rglob("*.log")]
        metrics_url = f"http://127.0.0.1:{self.system.environ['METRICS_PORT']}/metrics"
        with urlopen(metrics_url, timeout=60) as response:
            metrics = ("metrics", response.read())
        places = [
            *self.responses,
            *logs,
            metrics,
            *dump_database(url),
            *dump_valkey(self.valkey.url),
        ]
        assert len(logs) >= 2
        assert len(places) > 50
        return find_secrets(self.secrets.values(), places)


@pytest.fixture(scope="module")
def valkey(scratch: Path) -> Iterator[EmbeddedValkey]:
    (scratch / "secrets").mkdir()
    valkey = EmbeddedValkey.start(scratch / "secrets" / "valkey")
    yield valkey
    valkey.stop()


@pytest.fixture(scope="module")
def recorded(
    postgres: EmbeddedPostgres, migrated: str, valkey: EmbeddedValkey, scratch: Path
) -> Iterator[RecordedSystem]:
    url = postgres.create_database("secrets", template=migrated)
    verbose = {"LOG_LEVEL": "debug", "METRICS_PORT": str(find_free_port()), "WEB_WORKERS": "1"}
    environ = environment(url, valkey.url, CORS_ORIGIN="https://shop.example", **verbose)
    system = System(environ, scratch / "secrets" / "system.log")
    try:
        system.start("api", "worker", "sweeper")
        for name in ("worker", "sweeper"):
            wait_until(lambda n=name: f"{n} started" in system.read_log(), 60, f"the {name} is up")
        yield RecordedSystem(system, valkey, _create_secrets(system), scratch)
    finally:
        system.stop()


def _create_secrets(system: System) -> dict[str, str]:
    secrets = {"unknown": UNKNOWN}
    seeded = system.seed()
    secrets["seeded"] = seeded["apiKey"]
    with open_application(system.environ) as application:
        for name in ("second", "revoked"):
            issued = application.api_keys.issue(UUID(seeded["merchantId"]), name)
            secrets[name] = issued.raw
        application.api_keys.revoke(issued.key.id)
    return secrets | _register_merchant(system)


def _register_merchant(system: System) -> dict[str, str]:
    """Create a password, tokens and keys under Idempotency-Keys: their responses are stored."""
    anonymous = Client(system.base_url, "no-key")
    secrets = {"password": PASSWORD}
    assert (
        anonymous.request("POST", "/merchants/register", LOGIN, Idempotency_Key="r").status == 201
    )
    for name in ("token", "left"):
        entered = anonymous.request(
            "POST", "/merchants/login", LOGIN, Idempotency_Key=f"login-{name}"
        )
        secrets[name] = entered.data["token"]
    member = Client(system.base_url, secrets["token"])
    issued = member.request(
        "POST", "/merchants/api-keys", {"name": "till"}, Idempotency_Key="k"
    ).data
    secrets["till"] = issued["rawKey"]
    path = f"/merchants/api-keys/{issued['id']}/rotate"
    secrets["turned"] = member.request("POST", path, {}, Idempotency_Key="t").data["rawKey"]
    left = Client(system.base_url, secrets["left"])
    assert left.request("POST", "/merchants/logout", Idempotency_Key="o").status == 200
    return secrets


def _use_merchant_routes(recorded: RecordedSystem) -> None:
    """Repeat the requests that returned a secret, and send passwords and tokens in wrong places."""
    token = recorded.secrets["token"]
    for name in ("login-token", "login-left"):
        assert (
            recorded.request("no-key", "POST", "/merchants/login", LOGIN, Idempotency_Key=name)
            == 200
        )
    recorded.request("no-key", "POST", "/merchants/register", LOGIN, Idempotency_Key="r")
    recorded.request(token, "POST", "/merchants/api-keys", {"name": "till"}, Idempotency_Key="k")
    for path in ("dashboard", "api-keys", "audit-log", f"audit-log?cursor={token}", token):
        recorded.request(token, "GET", f"/merchants/{path}")
    email = LOGIN["email"]
    for body in (
        *({"email": PASSWORD, "password": PASSWORD}, {"email": email, PASSWORD[:9]: PASSWORD}),
        *({"email": email, "password": [PASSWORD]}, {"email": email, "password": {"x": PASSWORD}}),
        *({"email": email, "password": PASSWORD * 9}, {"email": email, "password": token}),
        *({**LOGIN, "name": f"of {token}"}, {**LOGIN, "other": PASSWORD}, [PASSWORD], PASSWORD),
        *(json.dumps(LOGIN)[:-1].encode(), json.dumps(LOGIN).encode() + b"\xff"),
    ):
        for path in ("register", "login"):
            assert recorded.request("no-key", "POST", f"/merchants/{path}", body) == 400
    wrong = {**LOGIN, "email": "nobody@shop.example"}
    assert recorded.request("no-key", "POST", "/merchants/login", wrong) == 401
    assert recorded.request("no-key", "POST", f"/merchants/login?password={PASSWORD}", LOGIN) == 400
    assert recorded.request(token, "POST", "/merchants/api-keys", {"name": token}) == 400
    assert recorded.request(token, "DELETE", f"/merchants/api-keys/{token}") == 400
    assert recorded.request(PASSWORD, "GET", "/merchants/dashboard") == 401


def _use_keys_correctly(recorded: RecordedSystem) -> None:
    for key in recorded.secrets.values():
        for number in range(2):
            recorded.request(key, "POST", "/payments", ORDER, Idempotency_Key=f"k{number}")
        recorded.request(key, "POST", "/payments/batch", {"payments": [ORDER, ORDER]})
        recorded.request(key, "POST", "/payments", ORDER | {"amount": 0})
        recorded.request(key, "POST", "/accounts", ACCOUNT)
        for path in ("/health", "/health/ready", "/nowhere", "/payments/x", "/accounts/x"):
            recorded.request(key, "GET", path)
        recorded.request(key, "DELETE", "/payments")


def _misplace_keys(recorded: RecordedSystem) -> None:
    """Send each key in every place where it does not belong, authenticated with a valid key."""
    good = recorded.secrets["seeded"]
    for key in (good, recorded.secrets["revoked"], recorded.secrets["token"]):
        for path in (f"/payments/{key}", f"/{key}", f"/payments?key={key}", f"/health?{key}"):
            recorded.request(good, "GET", path)
        orders = [ORDER | {name: key} for name in ("description", "source", "merchantId", key)]
        orders += [ORDER | {key: key}, ORDER | {"source": f"tok_{key}"}]
        orders += [ORDER | {"webhookUrl": f"https://example.com/?key={key}"}]
        for order in orders:
            assert recorded.request(good, "POST", "/payments", order) == 400
            assert (
                recorded.request(good, "POST", "/payments/batch", {"payments": [ORDER, order]})
                == 400
            )
        item = ORDER | {"idempotencyKey": key}
        assert recorded.request(good, "POST", "/payments/batch", {"payments": [item]}) == 400
        assert recorded.request(good, "POST", "/accounts", ACCOUNT | {"name": f"of {key}"}) == 400
        for header in (key, f'"{key}"', f"order-{key}"):
            assert recorded.request(good, "POST", "/payments", ORDER, Idempotency_Key=header) == 400
        basic = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        for headers in (
            *({"X_Request_Id": key}, {"User_Agent": key}, {"Referer": key}, {"Origin": key}),
            *({"Cookie": key}, {"Host": key}, {"X_Forwarded_For": key}, {"X_Api_Key": key}),
            *({"Content_Type": key}, {"Content_Encoding": key}, {key: "x"}, {"Expect": key}),
            *({"Authorization": word} for word in (key, f"Token {key}", f"Bearer {key}x", basic)),
            *({"Authorization": f"Bearer {key}, {key}"}, {"Authorization": f"Bearer '{key}'"}),
        ):
            recorded.request(good, "POST", "/payments", ORDER, **headers)
        _send_malformed_requests(recorded, key.encode())


def _send_malformed_requests(recorded: RecordedSystem, key: bytes) -> None:
    """Send requests that gunicorn cannot parse, with the key in them."""
    health = b"GET /api/v1/health HTTP/1.1"
    for raw in (
        *(head(b"GET /" + key), head(b"GET /" + key + b" HTTP/9"), head(key), key + b"\n" * 3),
        *(head(b"GET /" + key + b"\xe9 HTTP/1.1"), head(b"GET " + key + b" HTTP/1.1")),
        *(head(health, b"Authorization Bearer " + key), head(health, b"Authorization : " + key)),
        *(head(health, b"Authorization: Bearer " + key + b"\x00"), head(health, key + b"\xe9: x")),
        *(head(health, b"Authorization: Bearer", b" " + key), head(health, b"Expect: " + key)),
        *(head(health, b"Transfer-Encoding: " + key), head(health, b"Content-Length: " + key)),
        *(head(health, b"Host: " + key), head(health, key + b": " + b"a" * 9_000)),
        head(PAYMENTS, b"Authorization: Bearer " + key, b"Transfer-Encoding: chunked")
        + key
        + b"\r\n",
        head(b"GET /" + key * 200 + b" HTTP/1.1"),
        head(PAYMENTS, b"Authorization: Bearer " + key, LENGTH) + BODY[:-5],
    ):
        recorded.send_raw(raw)


def _with_database_closed(recorded: RecordedSystem, action: Callable[[], None]) -> None:
    """Run `action` while the database accepts no connections and has closed the existing ones."""
    url = recorded.system.superuser_url
    name = conninfo.conninfo_to_dict(url)["dbname"]
    outside = conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(outside, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        try:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            action()
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def _use_without_database(recorded: RecordedSystem) -> None:
    statuses = [
        recorded.request(key, "POST", "/payments", ORDER) for key in recorded.secrets.values()
    ]
    assert recorded.request("no-key", "POST", "/merchants/login", LOGIN) == 503
    assert recorded.request(recorded.secrets["token"], "GET", "/merchants/dashboard") == 503
    assert 503 in statuses
    assert recorded.command("keys", "create", "--name", "while down").returncode == 1


def test_secrets_appear_only_in_the_response_that_creates_them(recorded: RecordedSystem) -> None:
    _use_keys_correctly(recorded)
    _misplace_keys(recorded)
    _use_merchant_routes(recorded)
    _with_database_closed(recorded, lambda: _use_without_database(recorded))
    good = recorded.secrets["seeded"]
    assert recorded.command("keys", "list", "--json").returncode == 0
    assert recorded.command("keys", "create", "--name", good).returncode == 2
    assert recorded.command("keys", "revoke", good).returncode == 2
    wait_until(
        lambda: recorded.request(good, "POST", "/payments", ORDER) == 202, 60, "the API recovers"
    )
    words = recorded.system.read_log()
    assert all(event in words for event in ('"level":"debug"', "malformed_request", '"status":503'))
    assert recorded.find_leaks() == []


@pytest.mark.parametrize("template", ["{}", "x{}x"])
def test_planted_key_is_found_in_every_place(recorded: RecordedSystem, template: str) -> None:
    """The same search finds a key that is planted in each place, plain or in base64."""
    planted = template.format(recorded.secrets["second"])
    recorded.responses.append(("planted response", planted.encode()))
    with recorded.system.log.open("a") as log:
        log.write(json.dumps({"event": base64.b64encode(planted.encode()).decode()}) + "\n")
    with psycopg.connect(recorded.system.superuser_url) as connection:
        connection.execute("UPDATE merchants SET name = %s", [planted])
    with Redis.from_url(recorded.valkey.url) as redis:
        redis.hset("planted", "field", planted)
    leaks = recorded.find_leaks()
    for place in ("planted response", "system.log", '"public"."merchants"', "valkey b'planted'"):
        assert place in leaks
