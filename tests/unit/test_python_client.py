"""The Python client: its types and errors are those of the API, and its retries are bounded."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from atomic_payments import ApiError, Atomic, InvalidSignature, TransportError, verify_webhook
from atomic_payments import errors as client_errors
from atomic_payments import models as client_models

from atomic_adapters.settings import Settings
from atomic_adapters.webhooks.signature import build_headers, generate_secret
from atomic_adapters.wiring import in_memory
from atomic_web.app import create_app
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.openapi.document import build

FOLDER = Path(__file__).parents[2] / "clients" / "python"
OBJECTS = (
    *("Payment", "NewPayment", "Refund", "Event", "WebhookEndpoint", "IssuedWebhookEndpoint"),
    *("Account", "NewAccount", "AccountUpdate", "PendingAmounts"),
    *("SubtreeBalance", "SubtreeBalances"),
)
ENUMERATIONS = (
    *("CaptureMethod", "PaymentStatus", "RefundStatus"),
    *("AccountType", "AccountStatus", "NormalSide"),
)
BODY = b'{"id":"e-1","type":"payment.succeeded"}'


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    settings = Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///x"})
    return dict(build(create_app(in_memory(), settings), settings))["components"]["schemas"]


@pytest.mark.parametrize("name", OBJECTS)
def test_types_have_the_members_of_the_document(schemas: dict[str, Any], name: str) -> None:
    model, schema = getattr(client_models, name), schemas[name]
    assert set(model.__annotations__) == set(schema["properties"])
    assert model.__required_keys__ == set(schema.get("required", ()))


def test_statuses_are_those_of_the_document(schemas: dict[str, Any]) -> None:
    for name in ENUMERATIONS:
        assert list(getattr(client_models, name).__args__) == schemas[name]["enum"]


def test_every_error_code_has_an_exception_under_its_type() -> None:
    assert set(ERRORS_BY_CODE) <= client_errors.ERRORS.keys()
    for code, (error, *_) in ERRORS_BY_CODE.items():
        assert issubclass(client_errors.ERRORS[code], client_errors.ERRORS[error.type])


class ScriptedServer:
    """Answers requests with the given statuses, and records their keys."""

    def __init__(self, *answers: tuple[int, dict[str, Any], dict[str, str]] | None) -> None:
        self.answers, self.keys, self.paths = list(answers), list[str | None](), list[str]()
        self.methods, self.bodies = list[str](), list[Any]()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted.bodies.append(json.loads(content or b"null"))
                scripted.methods.append(self.command)
                scripted.keys.append(self.headers["Idempotency-Key"])
                scripted.paths.append(self.path)
                answer = scripted.answers.pop(0)
                if answer is None:
                    # The answer is lost.
                    self.close_connection = True
                    return
                status, document, headers = answer
                content = json.dumps(document).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PATCH = do_POST  # noqa: N815 - the names that http.server calls

            def log_message(self, format: str, *args: object) -> None:
                """Keeps the output of the tests short."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.delays: list[float] = []
        url = f"http://127.0.0.1:{self.server.server_port}"
        self.client = Atomic("sk", url, max_retries=2, sleep=self.delays.append)


def ok(data: object) -> tuple[int, dict[str, Any], dict[str, str]]:
    return 200, {"success": True, "data": data}, {}


def refused(
    status: int, code: str, retryable: bool, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    error = {"code": code, "type": code, "message": "No.", "retryable": retryable, "docUrl": "/x"}
    return status, {"success": False, "error": error}, {**headers, "X-Request-Id": "r-1"}


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[ScriptedServer] = []

    def start(*answers: Any) -> ScriptedServer:
        servers.append(ScriptedServer(*answers))
        return servers[-1]

    yield start
    for server in servers:
        server.client.close()
        server.server.shutdown()
        server.server.server_close()


def pay(server: ScriptedServer) -> Any:
    return server.client.payments.create(amount=1, currency="USD", source="tok_visa")


def test_retries_have_one_key_and_wait_as_long_as_the_server_says(serve: Any) -> None:
    unavailable = refused(503, "service_unavailable", True, **{"Retry-After": "7"})
    server = serve(None, unavailable, ok({"id": "p"}))
    assert pay(server) == {"id": "p"}
    assert len(server.keys) == 3
    assert len(set(server.keys)) == 1
    assert server.keys[0]
    assert 0 < server.delays[0] <= 0.25
    assert server.delays[1] == 7


def test_retries_are_bounded(serve: Any) -> None:
    server = serve(None, None, None)
    with pytest.raises(TransportError):
        pay(server)
    assert len(server.delays) == 2
    late = refused(429, "rate_limited", True, **{"Retry-After": "900"})
    server = serve(late)
    with pytest.raises(client_errors.RateLimited) as raised:
        pay(server)
    assert (raised.value.retry_after, raised.value.request_id) == (900, "r-1")
    assert server.delays == []


def test_errors_that_a_retry_cannot_mend_are_raised_at_once(serve: Any) -> None:
    with pytest.raises(client_errors.ValidationFailed, match="No"):
        pay(serve(refused(400, "validation_failed", False)))
    with pytest.raises(ApiError) as raised:
        pay(serve(refused(418, "new_code", False)))
    assert (type(raised.value), raised.value.code) == (ApiError, "new_code")
    with pytest.raises(ApiError):
        pay(serve((404, {"not": "of the API"}, {})))


def test_pages_are_read_until_the_last(serve: Any) -> None:
    pages = (
        ok({"items": [{"id": "1"}, {"id": "2"}], "nextCursor": "c/2"}),
        ok({"items": [{"id": "3"}], "nextCursor": None}),
    )
    server = serve(*pages)
    listed = server.client.payments.list(status="SUCCESS")
    assert server.paths == [], "nothing is read before it is needed"
    assert [payment["id"] for payment in listed] == ["1", "2", "3"]
    assert server.paths == [
        "/api/v1/payments?limit=100&status=SUCCESS",
        "/api/v1/payments?limit=100&status=SUCCESS&cursor=c%2F2",
    ]


def test_accounts_are_opened_changed_and_read(serve: Any) -> None:
    unavailable = refused(503, "service_unavailable", True)
    account, sums = {"id": "a/b"}, {"prefix": "wallets", "items": []}
    page = {"items": [account], "nextCursor": None}
    server = serve(ok(account), ok(account), ok(page), unavailable, ok(account), ok(sums), ok(sums))
    accounts = server.client.accounts
    opened = accounts.create(
        name="wallets:alice", currency="USD", minBalance=None, idempotency_key="k-1"
    )
    assert opened == accounts.get("a/b") == account
    assert list(accounts.list(prefix="wallets", **{"metadata[tier]": "gold"})) == [account]
    assert accounts.update("a/b", status="FROZEN") == account
    assert accounts.balances("wallets") == accounts.balances() == sums
    assert server.methods == ["POST", "GET", "GET", "PATCH", "PATCH", "GET", "GET"]
    assert [path.removeprefix("/api/v1/accounts") for path in server.paths] == [
        "",
        "/a%2Fb",
        "?limit=100&prefix=wallets&metadata%5Btier%5D=gold",
        "/a%2Fb",
        "/a%2Fb",
        "/balances?prefix=wallets",
        "/balances",
    ]
    new_account = {"name": "wallets:alice", "currency": "USD", "minBalance": None}
    change = {"status": "FROZEN"}
    assert server.bodies == [new_account, None, None, change, change, None, None]
    assert server.keys[0] == "k-1"
    assert server.keys[3]
    assert server.keys[3] == server.keys[4]


def test_signature_of_atomic_is_verified() -> None:
    secret, now = generate_secret(), int(time.time())
    for secrets in ([secret], [generate_secret(), secret]):
        headers = build_headers("e-1", now, BODY, secrets)
        assert verify_webhook(BODY, headers, secret)["id"] == "e-1"
    title_case = {name.title(): value for name, value in headers.items()}
    assert verify_webhook(BODY, title_case, secret)["type"] == "payment.succeeded"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"webhook-timestamp": "x"}, "no number"),
        ({"webhook-timestamp": "1"}, "too old"),
        ({"webhook-id": "e-2"}, "No signature"),
        ({"webhook-signature": "v1,%%%"}, "No signature"),
        ({"webhook-signature": "v2,AAAA"}, "No signature"),
        ({"webhook-signature": ""}, "No signature"),
    ],
)
def test_other_signatures_are_refused(changed: dict[str, str], message: str) -> None:
    secret = generate_secret()
    headers = build_headers("e-1", int(time.time()), BODY, [secret]) | changed
    with pytest.raises(InvalidSignature, match=message):
        verify_webhook(BODY, headers, secret)


def test_malformed_secret_is_no_invalid_signature() -> None:
    headers = build_headers("e-1", int(time.time()), BODY, [generate_secret()])
    with pytest.raises(ValueError, match="whsec_") as raised:
        verify_webhook(BODY, headers, "whsec_%")
    assert not isinstance(raised.value, InvalidSignature)


def test_key_of_another_secret_is_refused() -> None:
    headers = build_headers("e-1", int(time.time()), BODY, [generate_secret()])
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(InvalidSignature):
        verify_webhook(BODY, headers, other)


def test_wheel_has_the_package_and_its_types(tmp_path: Path) -> None:
    build_wheel = (
        "import os, sys; os.chdir(sys.argv[1]);"
        "from setuptools.build_meta import build_wheel; build_wheel(sys.argv[2])"
    )
    copy = tmp_path / "python"
    sources = [
        path for path in FOLDER.rglob("*") if path.suffix in (".py", ".toml", ".md", ".typed")
    ]
    for path in sources:
        target = copy / path.relative_to(FOLDER)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = [sys.executable, "-c", build_wheel, str(copy), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith("METADATA"))
        assert b"Requires-Dist" not in archive.read(metadata)
    package = {name for name in names if name.startswith("atomic_payments/")}
    assert package == {
        path.relative_to(FOLDER).as_posix()
        for path in (FOLDER / "atomic_payments").iterdir()
        if path.suffix in (".py", ".typed")
    }
