"""A raw API key is in the answer that it was made with, and nowhere else: no log line, no other
answer, no row, no entry of Valkey has it, whatever its owner did with it. So is a session token; a
password is not even there."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
from psycopg import conninfo
from redis import Redis

from atomic_adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from processes import Client, System, environment, eventually, free_port
from raw_http import BODY, LENGTH, Wire, head
from secret_scan import entries, found, rows
from slow_clients import PAYMENTS

UNKNOWN = "sk_test_" + "0123456789abcdef" * 3
ORDER = {"amount": 1, "currency": "USD", "source": "tok_visa"}
ACCOUNT = {"name": "Sales", "currency": "USD"}
PASSWORD = "correct-horse-battery-staple-4711"
LOGIN = {"email": "owner@shop.example", "password": PASSWORD}


@dataclass
class Session:
    """Everything that was said to the system's clients and operators, but the keys' making."""

    system: System
    bell: EmbeddedValkey
    keys: dict[str, str]
    folder: Path
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    def ask(self, key: str, method: str, path: str, body: object = None, **headers: str) -> int:
        reply = Client(self.system.base_url, key).ask(method, path, body, **headers)
        self.answers.append((f"{method} {path}", repr(reply.headers).encode() + reply.raw))
        return reply.status

    def say(self, raw: bytes) -> None:
        wire = Wire(int(self.system.environ["PORT"]))
        self.answers.append((f"raw {len(self.answers)}", wire.exchange(raw)))

    def command(self, *arguments: str) -> Any:
        done = self.system.atomic(*arguments)
        self.answers.append((" ".join(arguments), (done.stdout + done.stderr).encode()))
        return done

    def leaks(self) -> list[str]:
        """Where any of the keys stands."""
        url = self.system.environ["DATABASE_URL"]
        logs = [(log.name, log.read_bytes()) for log in self.folder.rglob("*.log")]
        metrics = f"http://127.0.0.1:{self.system.environ['METRICS_PORT']}/metrics"
        with urlopen(metrics, timeout=5) as told:
            counted = ("metrics", told.read())
        places = [*self.answers, *logs, counted, *rows(url), *entries(self.bell.url)]
        assert len(logs) >= 2
        assert len(places) > 50
        return found(self.keys.values(), places)


@pytest.fixture(scope="module")
def bell(scratch: Path) -> Iterator[EmbeddedValkey]:
    (scratch / "secrets").mkdir()
    valkey = EmbeddedValkey.start(scratch / "secrets" / "valkey")
    yield valkey
    valkey.stop()


@pytest.fixture(scope="module")
def session(
    postgres: EmbeddedPostgres, migrated: str, bell: EmbeddedValkey, scratch: Path
) -> Iterator[Session]:
    url = postgres.create_database("secrets", template=migrated)
    talkative = {"LOG_LEVEL": "debug", "METRICS_PORT": str(free_port()), "WEB_WORKERS": "1"}
    environ = environment(url, bell.url, CORS_ORIGIN="https://shop.example", **talkative)
    system = System(environ, scratch / "secrets" / "system.log")
    try:
        system.start("api", "worker", "sweeper")
        for name in ("worker", "sweeper"):
            eventually(lambda n=name: f"{n} started" in system.words(), 20, f"the {name} is up")
        yield Session(system, bell, _make_keys(system), scratch)
    finally:
        system.stop()


def _make_keys(system: System) -> dict[str, str]:
    made = {"unknown": UNKNOWN}
    seeded = json.loads(system.atomic("seed", "--json").stdout)
    made["seeded"] = seeded["apiKey"]
    for name in ("second", "revoked"):
        issued = json.loads(system.atomic("keys", "create", "--name", name, "--json").stdout)
        made[name] = issued["apiKey"]
        if name == "revoked":
            assert system.atomic("keys", "revoke", issued["id"]).returncode == 0
    return made | _become_a_merchant(system)


def _become_a_merchant(system: System) -> dict[str, str]:
    """With a password, tokens and keys, each made with an Idempotency-Key: its answer is kept."""
    anybody = Client(system.base_url, "nobody")
    made = {"password": PASSWORD}
    assert anybody.ask("POST", "/merchants/register", LOGIN, Idempotency_Key="r").status == 201
    for name in ("token", "left"):
        entered = anybody.ask("POST", "/merchants/login", LOGIN, Idempotency_Key=f"login-{name}")
        made[name] = entered.data["token"]
    member = Client(system.base_url, made["token"])
    issued = member.ask("POST", "/merchants/api-keys", {"name": "till"}, Idempotency_Key="k").data
    made["till"] = issued["rawKey"]
    path = f"/merchants/api-keys/{issued['id']}/rotate"
    made["turned"] = member.ask("POST", path, {}, Idempotency_Key="t").data["rawKey"]
    left = Client(system.base_url, made["left"])
    assert left.ask("POST", "/merchants/logout", Idempotency_Key="o").status == 200
    return made


def _use_as_a_merchant(session: Session) -> None:
    """Repeats of what told a secret once, and passwords and tokens where they do not belong."""
    token = session.keys["token"]
    for name in ("login-token", "login-left"):
        assert session.ask("nobody", "POST", "/merchants/login", LOGIN, Idempotency_Key=name) == 200
    session.ask("nobody", "POST", "/merchants/register", LOGIN, Idempotency_Key="r")
    session.ask(token, "POST", "/merchants/api-keys", {"name": "till"}, Idempotency_Key="k")
    for path in ("dashboard", "api-keys", "audit-log", f"audit-log?cursor={token}", token):
        session.ask(token, "GET", f"/merchants/{path}")
    email = LOGIN["email"]
    for body in (
        *({"email": PASSWORD, "password": PASSWORD}, {"email": email, PASSWORD[:9]: PASSWORD}),
        *({"email": email, "password": [PASSWORD]}, {"email": email, "password": {"x": PASSWORD}}),
        *({"email": email, "password": PASSWORD * 9}, {"email": email, "password": token}),
        *({**LOGIN, "name": f"of {token}"}, {**LOGIN, "other": PASSWORD}, [PASSWORD], PASSWORD),
        *(json.dumps(LOGIN)[:-1].encode(), json.dumps(LOGIN).encode() + b"\xff"),
    ):
        for path in ("register", "login"):
            assert session.ask("nobody", "POST", f"/merchants/{path}", body) == 400
    wrong = {**LOGIN, "email": "nobody@shop.example"}
    assert session.ask("nobody", "POST", "/merchants/login", wrong) == 401
    assert session.ask("nobody", "POST", f"/merchants/login?password={PASSWORD}", LOGIN) == 400
    assert session.ask(token, "POST", "/merchants/api-keys", {"name": token}) == 400
    assert session.ask(token, "DELETE", f"/merchants/api-keys/{token}") == 400
    assert session.ask(PASSWORD, "GET", "/merchants/dashboard") == 401


def _use_well(session: Session) -> None:
    for key in session.keys.values():
        for number in range(2):
            session.ask(key, "POST", "/payments", ORDER, Idempotency_Key=f"k{number}")
        session.ask(key, "POST", "/payments/batch", {"payments": [ORDER, ORDER]})
        session.ask(key, "POST", "/payments", ORDER | {"amount": 0})
        session.ask(key, "POST", "/accounts", ACCOUNT)
        for path in ("/health", "/health/ready", "/nowhere", "/payments/x", "/accounts/x"):
            session.ask(key, "GET", path)
        session.ask(key, "DELETE", "/payments")


def _use_badly(session: Session) -> None:
    """The key wherever it does not belong, by a caller who has one."""
    good = session.keys["seeded"]
    for key in (good, session.keys["revoked"], session.keys["token"]):
        for path in (f"/payments/{key}", f"/{key}", f"/payments?key={key}", f"/health?{key}"):
            session.ask(good, "GET", path)
        orders = [ORDER | {name: key} for name in ("description", "source", "merchantId", key)]
        orders += [ORDER | {key: key}, ORDER | {"source": f"tok_{key}"}]
        orders += [ORDER | {"webhookUrl": f"https://example.com/?key={key}"}]
        for order in orders:
            assert session.ask(good, "POST", "/payments", order) == 400
            assert session.ask(good, "POST", "/payments/batch", {"payments": [ORDER, order]}) == 400
        item = ORDER | {"idempotencyKey": key}
        assert session.ask(good, "POST", "/payments/batch", {"payments": [item]}) == 400
        assert session.ask(good, "POST", "/accounts", ACCOUNT | {"name": f"of {key}"}) == 400
        for header in (key, f'"{key}"', f"order-{key}"):
            assert session.ask(good, "POST", "/payments", ORDER, Idempotency_Key=header) == 400
        basic = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        for headers in (
            *({"X_Request_Id": key}, {"User_Agent": key}, {"Referer": key}, {"Origin": key}),
            *({"Cookie": key}, {"Host": key}, {"X_Forwarded_For": key}, {"X_Api_Key": key}),
            *({"Content_Type": key}, {"Content_Encoding": key}, {key: "x"}, {"Expect": key}),
            *({"Authorization": word} for word in (key, f"Token {key}", f"Bearer {key}x", basic)),
            *({"Authorization": f"Bearer {key}, {key}"}, {"Authorization": f"Bearer '{key}'"}),
        ):
            session.ask(good, "POST", "/payments", ORDER, **headers)
        _say_badly(session, key.encode())


def _say_badly(session: Session, key: bytes) -> None:
    """What gunicorn cannot read, with the key in it."""
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
        session.say(raw)


def _without_its_database(session: Session, meanwhile: Callable[[], None]) -> None:
    """For a moment nobody is let in, and whoever was is thrown out."""
    url = session.system.environ["DATABASE_URL"]
    name = conninfo.conninfo_to_dict(url)["dbname"]
    outside = conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(outside, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        try:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            meanwhile()
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def _fail(session: Session) -> None:
    statuses = [session.ask(key, "POST", "/payments", ORDER) for key in session.keys.values()]
    assert session.ask("nobody", "POST", "/merchants/login", LOGIN) == 503
    assert session.ask(session.keys["token"], "GET", "/merchants/dashboard") == 503
    assert 503 in statuses
    assert session.command("keys", "create", "--name", "while down").returncode == 1


def test_no_key_is_anywhere_but_where_it_was_made(session: Session) -> None:
    _use_well(session)
    _use_badly(session)
    _use_as_a_merchant(session)
    _without_its_database(session, lambda: _fail(session))
    good = session.keys["seeded"]
    assert session.command("keys", "list", "--json").returncode == 0
    assert session.command("keys", "create", "--name", good).returncode == 1
    assert session.command("keys", "revoke", good).returncode == 2
    eventually(lambda: session.ask(good, "POST", "/payments", ORDER) == 202, 10, "it recovers")
    words = session.system.words()
    assert all(said in words for said in ('"level":"debug"', "unreadable_request", '"status":503'))
    assert session.leaks() == []


@pytest.mark.parametrize("disguise", ["{}", "x{}x"])
def test_a_key_that_were_there_would_be_found(session: Session, disguise: str) -> None:
    """The same search, over the same places, with a key in each."""
    planted = disguise.format(session.keys["second"])
    session.answers.append(("planted answer", planted.encode()))
    with session.system.log.open("a") as log:
        log.write(json.dumps({"event": base64.b64encode(planted.encode()).decode()}) + "\n")
    with psycopg.connect(session.system.environ["DATABASE_URL"]) as connection:
        connection.execute("UPDATE merchants SET name = %s", [planted])
    with Redis.from_url(session.bell.url) as redis:
        redis.hset("planted", "field", planted)
    leaks = session.leaks()
    for place in ("planted answer", "system.log", '"public"."merchants"', "valkey b'planted'"):
        assert place in leaks
