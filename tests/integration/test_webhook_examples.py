"""The receivers of the documentation receive what Atomic sends."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from atomic_adapters.webhooks.http_sender import HttpWebhookSender
from atomic_adapters.webhooks.signature import build_headers, generate_secret
from atomic_core.domain.webhook_urls import EVERY_NETWORK
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult

ROOT = Path(__file__).parents[2]

PING = b'{"id":"2","type":"ping","data":{"endpointId":"3"}}'

BODY = '{"id":"1","sequence":1,"type":"payment.succeeded","data":{"name":"Bücher"}}'.encode()


def load_example(page: str, name: str) -> dict[str, Any]:
    """The names of the page's example that defines this name."""
    text = (ROOT / page).read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [example] = [each for each in examples if re.search(rf"\b{name}\b", each)]
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(example, page, "exec"), names)  # noqa: S102
    return names


@contextmanager
def serve(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/webhooks"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(url: str, secrets: tuple[str, ...], timestamp: int, body: bytes = BODY) -> WebhookResult:
    with closing(HttpWebhookSender(EVERY_NETWORK)) as sender:
        return sender.send(WebhookRequest("1", url, body, secrets, timestamp))


@pytest.mark.parametrize(("page", "refusal"), [("README.md", 500), ("docs/webhooks.md", 400)])
def test_documented_receiver_verifies_webhooks(
    page: str,
    refusal: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret, now = generate_secret(), int(time.time())
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    example = load_example(page, "Flask")
    with serve(example["app"]) as url:
        assert send(url, (generate_secret(), secret), now).status_code == 204
        assert send(url, (secret,), now, PING).status_code == 204
        assert send(url, (generate_secret(),), now).status_code == refusal
        assert send(url, (secret,), now - 3_600).status_code == refusal
    assert capsys.readouterr().out == (
        "1 payment.succeeded {'name': 'Bücher'}\nNone ping {'endpointId': '3'}\n"
    )


def test_documented_verification_without_a_library() -> None:
    is_valid = load_example("docs/webhooks.md", "is_valid")["is_valid"]
    secret, now = generate_secret(), int(time.time())
    headers: Mapping[str, str] = build_headers("1", now, BODY, [generate_secret(), secret])
    assert is_valid(secret, headers, BODY)
    assert not is_valid(secret, headers, BODY + b"\n")
    assert not is_valid(generate_secret(), headers, BODY)
    for offset in (-3_600, 3_600):
        old = build_headers("1", now + offset, BODY, [secret])
        assert not is_valid(secret, old, BODY)
