"""A stateful Stripe in a process of its own (localstripe), and in front of it a proxy that adds
Stripe's rules (stripe_rules.py) and injects faults."""

import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

from processes import find_free_port, wait_until
from stripe_rules import SECRET_KEY, Answer, Fault, RecordingProxy, Request, build_error

START_LOCALSTRIPE = """
import sys
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None  # one file per machine, after each write
server.start()
"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: RecordingProxy

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _read_request(self) -> Request | None:
        """None if its client was killed before it had sent all of it."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            return None
        return Request(self.command, self.path, body, self.headers.get("Idempotency-Key"))

    def _handle(self) -> None:
        request = self._read_request()
        if request is None:
            self.close_connection = True
        else:
            self._answer(request)

    def _answer(self, request: Request) -> None:
        proxy = self.proxy
        proxy.requests.append(request)
        fault = proxy.plan(request)
        if fault is Fault.RESET_BEFORE:
            self._reset()
            return
        if fault is Fault.RATE_LIMITED:
            self._send(build_error(429, "invalid_request_error", "slow down", "rate_limit"))
            return
        if self.headers.get("Authorization") != f"Bearer {SECRET_KEY}":
            self._send(build_error(401, "invalid_request_error", "Invalid API Key provided"))
            return
        answer = proxy.answer(request, fault)
        proxy.on_processed(request)
        match fault:
            case Fault.REPLY_DROPPED:
                self.close_connection = True
            case Fault.RESET_AFTER:
                self._reset()
            case Fault.REPLY_DELAYED:
                proxy.released.wait(60)
                self.close_connection = True
            case Fault.GARBAGE:
                self._send(Answer(200, b"<html>\x00 not JSON"))
            case Fault.SLOW_BODY:
                self._send_slowly(answer)
            case Fault.ERROR_AFTER:
                # Also what its key remembers.
                self._send(build_error(500, "api_error", "An unknown error occurred"))
            case _:
                self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Request-Id", "req_test")
        if answer.is_replayed:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self.wfile.write(answer.body)

    def _send_slowly(self, answer: Answer) -> None:
        """One byte at a time, so that each read succeeds before its own time-out."""
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.close_connection = True
        for position in range(len(answer.body)):
            if self.proxy.released.wait(0.05):
                return
            try:
                self.wfile.write(answer.body[position : position + 1])
                self.wfile.flush()
            except OSError:
                return  # The client has given up.

    def _reset(self) -> None:
        """Close with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True  # Reset by this handler, or by the client.

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: failed tests show what was requested by `requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def run_localstripe() -> Iterator[int]:
    """Its port."""
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", START_LOCALSTRIPE, "--from-scratch", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def is_listening() -> bool:
        assert process.poll() is None, "localstripe has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(is_listening, 60, "localstripe listens")
        yield port
    finally:
        # It keeps nothing, and does not end while it computes a long answer.
        process.kill()
        process.wait(60)


def register_webhook(port: int, url: str, secret: str) -> None:
    """Let localstripe send its events to this URL."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/_config/webhooks/atomic",
        urlencode({"url": url, "secret": secret}).encode(),
        {"Authorization": f"Bearer {SECRET_KEY}"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  a URL of ours
        assert response.status == 200


@contextmanager
def run_proxy(stripe_port: int) -> Iterator[RecordingProxy]:
    proxy = RecordingProxy(stripe_port)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with _Server(("127.0.0.1", find_free_port()), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
            yield proxy
        finally:
            proxy.released.set()
            server.shutdown()
            thread.join()
