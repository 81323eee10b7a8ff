"""`atomic webhooks …`: a scripted API and receivers on real sockets."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import pytest
import standardwebhooks
from click.testing import CliRunner, Result

from atomic_adapters.webhooks.secret_cipher import FernetSecretCipher
from atomic_adapters.webhooks.signature import build_headers
from atomic_worker.cli import main
from atomic_worker.commands.webhook_listener import MAX_PAUSE_SECONDS, Listener
from atomic_worker.commands.webhooks import parse_headers
from processes import wait_until
from webhook_receivers import HANG_SECONDS, OK, Handler, Receiver, answer

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
API_KEY = "sk_test_listen"
BODY = b'{"id":"evt_1","type":"payment.succeeded"}'


def run(*arguments: str, input: bytes | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, ["webhooks", *arguments], input=input, env=environ)


# --- new-key ------------------------------------------------------------------------------------


def test_new_key_is_a_key_and_new() -> None:
    keys = {run("new-key").stdout.strip() for _ in range(2)}
    assert len(keys) == 2
    for key in keys:
        cipher = FernetSecretCipher([key])
        assert cipher.decrypt(cipher.encrypt(SECRET)) == SECRET


# --- explain ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., list[str]]:
    """Saves a request of now, and returns the options that name it."""

    def save(body: bytes = BODY, timestamp: int | None = None) -> list[str]:
        headers = build_headers("evt_1", timestamp or int(time.time()), BODY, [SECRET])
        lines = ["POST /hook HTTP/1.1", *(f"{name.title()}: {headers[name]}" for name in headers)]
        (tmp_path / "headers").write_text("\r\n".join(lines) + "\r\n\r\n")
        (tmp_path / "body").write_bytes(body)
        return ["--headers", str(tmp_path / "headers"), "--body", str(tmp_path / "body")]

    return save


def test_explain_valid_signature(saved: Callable[..., list[str]]) -> None:
    result = run("explain", "--secret", SECRET, *saved())
    assert (result.exit_code, result.stdout) == (0, "The signature is valid.\n")
    named = run("explain", *saved(), WEBHOOK_SECRET=SECRET)
    assert named.exit_code == 0


def test_explain_names_the_step_that_fails(saved: Callable[..., list[str]]) -> None:
    result = run("explain", "--secret", SECRET, *saved(BODY + b"\n"))
    assert result.exit_code == 1
    assert result.stdout.startswith("body: The body was changed: a trailing newline was added.")
    malformed = run("explain", "--secret", "secret", *saved(), "--json")
    assert malformed.exit_code == 1
    assert json.loads(malformed.stdout) == {
        "valid": False,
        "step": "secret",
        "message": "The secret is malformed. A signing secret starts with whsec_.",
    }


def test_explain_of_an_old_request(saved: Callable[..., list[str]]) -> None:
    options = saved(timestamp=1_800_000_000)
    old = run("explain", "--secret", SECRET, *options)
    assert (old.exit_code, old.stdout[:5]) == (1, "age: ")
    for at in ("1800000010", "2027-01-15T08:00:10Z", "2027-01-15T08:00:10"):
        assert run("explain", "--secret", SECRET, *options, "--received-at", at).exit_code == 0
    assert run("explain", "--secret", SECRET, *options, "--received-at", "today").exit_code == 2


def test_explain_reads_one_file_from_standard_input(saved: Callable[..., list[str]]) -> None:
    _, headers, _, body = saved()
    options = ["explain", "--secret", SECRET]
    assert run(*options, "--headers", headers, "--body", "-", input=BODY).exit_code == 0
    piped = run(*options, "--headers", "-", "--body", body, input=Path(headers).read_bytes())
    assert piped.exit_code == 0
    both = run(*options, "--headers", "-", "--body", "-", input=BODY)
    assert both.exit_code == 2
    assert "Only one of --headers and --body" in both.stderr


def test_wrong_usage_of_explain(saved: Callable[..., list[str]]) -> None:
    options = saved()
    assert run("explain", *options).exit_code == 2
    assert run("explain", "--secret", SECRET, *options[:2]).exit_code == 2
    missing = run("explain", "--secret", SECRET, *options[:3], "/nowhere")
    assert (missing.exit_code, "does not exist" in missing.stderr) == (2, True)


@pytest.mark.parametrize(
    "content",
    [
        b"Webhook-Id: a:b\nX: 1",
        b"POST / HTTP/1.1\r\nwebhook-id:a:b\r\nx:1\r\n\r\n",
        b"> POST / HTTP/1.1\n> Webhook-Id: a:b\n> X: 1\n>",
        b'\xef\xbb\xbf{"WEBHOOK-ID": "a:b", "x": 1}',
    ],
)
def test_headers_are_read_in_common_forms(content: bytes) -> None:
    assert parse_headers(content) == {"webhook-id": "a:b", "x": "1"}


# --- listen -------------------------------------------------------------------------------------


def build_event(sequence: int) -> dict[str, Any]:
    return {
        "id": f"01a20698-7948-70d6-aea7-{sequence:012}",
        "sequence": sequence,
        "type": "payment.succeeded",
        "data": {"name": "Bücher"},
    }


def build_page(*sequences: int) -> bytes:
    items = [build_event(sequence) for sequence in sequences]
    return build_answer(200, {"success": True, "data": {"items": items, "nextCursor": None}})


def build_answer(status: int, document: object, *headers: str) -> bytes:
    body = json.dumps(document, ensure_ascii=False).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], Receiver]]:
    with ExitStack() as stack:
        yield lambda handle: stack.enter_context(Receiver(handle).run())


class Listening:
    """A listener that ends when the API has answered everything, and what it did."""

    def __init__(self, serve: Callable[[Handler], Receiver]) -> None:
        self.receiver = serve(answer(OK))
        self.pauses: list[float] = []
        self.serve = serve

    def run(self, *answers: bytes, after: int | None = None) -> Receiver:
        end = build_answer(401, {"error": {"message": "End of the script."}})
        remaining = [*answers, end]

        def handle(api: Receiver, connection: socket.socket) -> None:
            while api.read_request(connection):
                connection.sendall(remaining.pop(0))

        api = self.serve(handle)
        listener = Listener(
            *(f"http://127.0.0.1:{api.port}/", API_KEY, self.receiver.url, SECRET, after),
            pause=self.pauses.append,
        )
        with pytest.raises(click.ClickException, match="answered 401: End of the script"):
            listener.run()
        return api


@pytest.fixture
def listening(serve: Callable[[Handler], Receiver]) -> Listening:
    return Listening(serve)


def read_queries(api: Receiver) -> list[dict[str, str]]:
    assert all(each.headers["authorization"] == f"Bearer {API_KEY}" for each in api.requests)
    urls = [urlsplit(request.line.split(" ")[1]) for request in api.requests]
    assert {url.path for url in urls} == {"/api/v1/events"}
    return [{name: value for name, [value] in parse_qs(url.query).items()} for url in urls]


def test_listen_forwards_signed_events(
    listening: Listening, capsys: pytest.CaptureFixture[str]
) -> None:
    api = listening.run(build_page(3, 4), build_page(), build_page(5), after=2)
    assert [query["after"] for query in read_queries(api)] == ["2", "4", "4", "5"]
    requests = listening.receiver.requests
    assert [json.loads(request.body) for request in requests] == [
        build_event(sequence) for sequence in (3, 4, 5)
    ]
    for request in requests:
        standardwebhooks.Webhook(SECRET).verify(request.body.decode(), request.headers)
        assert request.headers["webhook-id"] == json.loads(request.body)["id"]
    output, errors = capsys.readouterr()
    heading, *lines = output.splitlines()
    assert heading.split() == ["At", "Sequence", "Event", "Id", "Time", "Answer"]
    assert [re.split(r" {2,}", line)[1:4] for line in lines] == [
        [str(sequence), "payment.succeeded", build_event(sequence)["id"]] for sequence in (3, 4, 5)
    ]
    assert all(line.endswith(" 200  ok") for line in lines)
    assert f"Signing secret: {SECRET}" in errors
    assert API_KEY not in output + errors


def test_listen_begins_with_the_events_to_come(listening: Listening) -> None:
    api = listening.run(build_page(7), build_page(8))
    first, *others = read_queries(api)
    assert first == {"limit": "1", "order": "desc"}
    assert [query["after"] for query in others] == ["7", "8"]
    empty = listening.run(build_page())
    assert read_queries(empty)[-1]["after"] == "0"
    assert len(listening.receiver.requests) == 1


def test_listen_waits_for_an_api_that_is_away(
    listening: Listening, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = build_answer(429, {}, "Retry-After: 7")
    failed = build_answer(500, {})
    listening.run(limited, failed, failed, build_page(3), failed, b"nonsense\r\n\r\n", after=2)
    assert listening.pauses == [7, 2, 4, 1, 2]
    assert len(listening.receiver.requests) == 1
    errors = capsys.readouterr().err
    assert "answered 429. Trying again in 7 s." in errors
    assert "does not answer" in errors
    listening.pauses.clear()
    listening.run(*[failed] * 8, after=2)
    assert listening.pauses == [1, 2, 4, 8, 16, *[MAX_PAUSE_SECONDS] * 3]


def test_listen_prints_what_a_receiver_does_wrong(
    listening: Listening, serve: Callable[[Handler], Receiver], capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nno\nsecond"
    listening.receiver = serve(answer(refusing))
    listening.run(build_page(1), after=0)
    [_, line] = capsys.readouterr().out.splitlines()
    assert line.endswith(" answered 500  no")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": {}}'])
def test_listen_ends_at_a_server_that_is_not_atomic(
    serve: Callable[[Handler], Receiver], body: bytes
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    api = serve(answer(head + body))
    url = f"http://127.0.0.1:{api.port}"
    result = run(
        "listen", "--forward-to", url, "--api-key", API_KEY, "--base-url", url, "--after", "0"
    )
    assert result.exit_code == 1
    assert result.stderr.endswith("This is not the API of Atomic: check --base-url.\n")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("--forward-to", "localhost:8000", "Must start with https:// or http://."),
        ("--base-url", "ftp://x", "Must be an http or https URL."),
        ("--api-key", "ключ", "Must be an API key"),
        ("--secret", "hunter2", "A signing secret starts with whsec_."),
        ("--after", "-1", "-1 is not in the range"),
    ],
)
def test_wrong_usage_of_listen(name: str, value: str, message: str) -> None:
    options = {"--forward-to": "http://127.0.0.1:1/", "--api-key": API_KEY, name: value}
    result = run("listen", *(part for option in options.items() for part in option))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "hunter2" not in result.stderr


def test_listen_ends_on_ctrl_c(serve: Callable[[Handler], Receiver]) -> None:
    def wait(receiver: Receiver, connection: Any) -> None:
        receiver.read_request(connection)
        receiver.ended.wait(HANG_SECONDS)

    api = serve(wait)
    command = [sys.executable, "-m", "atomic_worker", "webhooks", "listen", "--after", "0"]
    environ = {
        **os.environ,
        "API_KEY": API_KEY,
        "BASE_URL": f"http://127.0.0.1:{api.port}",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [*command, "--forward-to", "http://127.0.0.1:1/"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: bool(api.requests), 60, "the command waits for events")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert re.match(r"Signing secret: whsec_\S{44}\n", errors)
    assert errors.endswith("Ended.\n")
    assert "Traceback" not in output + errors
