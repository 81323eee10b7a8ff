"""Where webhooks may not go, whatever a URL, a name server or the environment says; and TLS."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from atomic_adapters.webhooks import dialer
from atomic_adapters.webhooks.http_sender import HttpWebhookSender
from atomic_adapters.webhooks.signature import generate_secret
from atomic_core.domain.webhook_urls import EVERY_NETWORK, check_webhook_url
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from webhook_receivers import HANG_SECONDS, OK, Certificates, Handler, Receiver, answer, drip

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

SECRET = generate_secret()

NAME = "shop.example"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def send(url: str, **options: Any) -> WebhookResult:
    sender = HttpWebhookSender(**{"timeout": timedelta(seconds=HANG_SECONDS), **options})
    try:
        return sender.send(WebhookRequest("id", url, b"{}", (SECRET,), 1_700_000_000))
    finally:
        sender.close()


class Resolver:
    """Answers its look-ups in turn, the last answer again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.look_ups = 0

    def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.look_ups += 1
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)


# --- Private addresses --------------------------------------------------------------------------

PRIVATE_SPELLINGS = [
    *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "0177.0.0.1", "0x7f.1"),
    *("0x7f000001", "2130706433", "017700000001", "0", "0.0.0.0", "[::1]", "[::]"),  # noqa: S104
    *("[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
    *("localhost", "LOCALHOST.", "a.localhost", "localhost.localdomain", "ip6-localhost"),
    *("10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "169.254.169.254", "[fd00::1]"),
    *("[fe80::1]", "metadata.google.internal", "db", "168.63.129.16"),
]


@pytest.mark.parametrize("host", PRIVATE_SPELLINGS)
def test_private_hosts_are_not_connected_to(receive: Callable[..., Receiver], host: str) -> None:
    receiver = receive(answer(OK))
    result = send(f"http://{host}:{receiver.port}/")
    assert (result.status_code, result.error) == (None, "private address")
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.31.0.1", "192.168.0.1"),  # noqa: S104
        *("169.254.169.254", "100.64.0.1", "168.63.129.16", "224.0.0.1", "255.255.255.255"),
        *("::1", "::", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1%lo", "fd00::1", "ff02::1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "not an address"),
    ],
)
def test_names_of_private_addresses_are_not_connected_to(
    receive: Callable[..., Receiver], address: str
) -> None:
    receiver = receive(answer(OK))
    url = check_webhook_url(f"http://{NAME}:{receiver.port}/")
    for addresses in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        result = send(url, resolve=Resolver(addresses))
        expected = f"private address: the host resolves to {address}"
        assert (result.status_code, result.error) == (None, expected)
    assert receiver.connections == 0


def test_other_urls_are_not_sent_to() -> None:
    for url in ("ftp://example.com/", "https://user@example.com/", "https://a b/", "", "http://"):
        assert send(url).error == "the URL is not valid"


def test_name_that_changes_its_address_is_checked_at_each_connection(
    receive: Callable[..., Receiver],
) -> None:
    """DNS rebinding. 127.0.0.2 stands for a public address, 127.0.0.1 for a private one."""
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    public = receive(answer(close), host="127.0.0.2")
    private = receive(answer(OK), port=public.port)
    resolver = Resolver(["127.0.0.2"], ["127.0.0.1"])
    url = check_webhook_url(f"http://{NAME}:{public.port}/")
    sender = HttpWebhookSender([ipaddress.ip_network("127.0.0.2/32")], resolve=resolver)
    request = WebhookRequest("id", url, b"{}", (SECRET,), 1_700_000_000)
    with closing(sender):
        assert sender.send(request).status_code == 200
        assert resolver.look_ups == 1, "the connection goes to the address that was checked"
        refused = sender.send(request)
    assert refused.error == "private address: the host resolves to 127.0.0.1"
    assert (resolver.look_ups, public.connections, private.connections) == (2, 1, 0)


def test_allowed_networks_are_sent_to(receive: Callable[..., Receiver]) -> None:
    receiver = receive(answer(OK))
    receiver_v6 = receive(answer(OK), host="::1")
    urls = [f"http://{host}:{receiver.port}/" for host in ("127.0.0.1", "localhost", "127.1")]
    for url in (*urls, f"http://[::1]:{receiver_v6.port}/"):
        assert send(url, allowed_networks=LOOPBACK).error is None
        assert send(url, allowed_networks=LOOPBACK[:0]).error == "private address"
    other = [ipaddress.ip_network("10.0.0.0/8")]
    assert send(urls[0], allowed_networks=other).error == "private address"


# --- Names --------------------------------------------------------------------------------------


def test_unknown_names_are_described() -> None:
    def fail(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (fail, Resolver([])):
        assert send(f"http://{NAME}/", resolve=resolve).error == "name not found"


def test_look_up_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(dialer, "MAX_ABANDONED_LOOK_UPS", 2)
    released = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        released.wait(HANG_SECONDS)
        return ["127.0.0.1"]

    sender = HttpWebhookSender(resolve=resolve)
    request = WebhookRequest("id", f"http://{NAME}/", b"{}", (SECRET,), 1_700_000_000)
    errors = [sender.send(request).error for _ in range(3)]
    released.set()
    late = "timed out while looking up the name"
    assert errors == [late, late, "name not found: too many look-ups have not returned"]


# --- TLS ----------------------------------------------------------------------------------------


def test_certificate_is_verified_by_the_name_in_the_url(
    receive: Callable[..., Receiver], certificates: Certificates
) -> None:
    """The connection goes to an address; certificate and SNI are of the name."""
    tls = certificates.server_context(NAME)
    names: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    receiver = receive(answer(OK), tls=tls)
    options: dict[str, Any] = {
        "allowed_networks": LOOPBACK,
        "resolve": Resolver(["127.0.0.1"]),
        "tls_context": certificates.client_context(),
    }
    assert send(f"https://{NAME}:{receiver.port}/", **options).error is None
    assert send(f"https://{NAME}.:{receiver.port}/", **options).error is None
    assert names == [NAME, NAME]
    for host in ("other.example", "127.0.0.1"):
        result = send(f"https://{host}:{receiver.port}/", **options)
        assert result.status_code is None
        assert str(result.error).startswith("TLS certificate not valid: ")
    assert len(receiver.requests) == 2, "nothing is sent before the certificate is verified"


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        ({"is_self_signed": True}, "self-signed certificate"),
        ({"days": -1}, "certificate has expired"),
    ],
)
def test_invalid_certificates_are_refused(
    receive: Callable[..., Receiver],
    certificates: Certificates,
    certificate: dict[str, Any],
    problem: str,
) -> None:
    receiver = receive(answer(OK), tls=certificates.server_context("127.0.0.1", **certificate))
    context = certificates.client_context()
    result = send(receiver.url, allowed_networks=LOOPBACK, tls_context=context)
    assert (result.status_code, result.error) == (None, f"TLS certificate not valid: {problem}")
    assert receiver.requests == []


def test_unknown_authority_is_refused(
    receive: Callable[..., Receiver], certificates: Certificates
) -> None:
    """With the authorities of the system, as in production."""
    receiver = receive(answer(OK), tls=certificates.server_context("127.0.0.1"))
    result = send(receiver.url, allowed_networks=LOOPBACK)
    assert str(result.error).startswith("TLS certificate not valid: unable to get local issuer")


def test_receiver_without_tls_is_described(receive: Callable[..., Receiver]) -> None:
    def handle(receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        receiver.ended.wait(HANG_SECONDS)

    result = send(f"https://127.0.0.1:{receive(handle).port}/", allowed_networks=LOOPBACK)
    assert (result.status_code, result.error) == (None, "TLS failed: WRONG_VERSION_NUMBER")


def test_handshake_that_hangs_times_out(receive: Callable[..., Receiver]) -> None:
    def handle(receiver: Receiver, connection: socket.socket) -> None:
        receiver.ended.wait(HANG_SECONDS)

    url = f"https://127.0.0.1:{receive(handle).port}/"
    result = send(url, allowed_networks=LOOPBACK, timeout=timedelta(seconds=0.5))
    assert (result.status_code, result.error) == (None, "timed out while negotiating TLS")


def test_answer_that_drips_through_tls_times_out(
    receive: Callable[..., Receiver], certificates: Certificates
) -> None:
    receiver = receive(drip(OK), tls=certificates.server_context("127.0.0.1"))
    context = certificates.client_context()
    second = timedelta(seconds=1)
    result = send(receiver.url, allowed_networks=LOOPBACK, timeout=second, tls_context=context)
    assert result.error == "timed out while waiting for the answer"


def test_tls_record_that_drips_times_out(
    receive: Callable[..., Receiver], certificates: Certificates
) -> None:
    """The bytes of one record come one at a time, through something between the two sides."""
    receiver = receive(answer(OK), tls=certificates.server_context("127.0.0.1"))

    def handle(slow: Receiver, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", receiver.port)) as inner:

            def pass_request() -> None:
                while part := connection.recv(65_536):
                    inner.sendall(part)

            threading.Thread(target=pass_request, daemon=True).start()
            is_first = True
            while part := inner.recv(65_536):
                if is_first:
                    # The handshake.
                    connection.sendall(part)
                    is_first = False
                    continue
                for byte in part:
                    connection.sendall(bytes([byte]))
                    if slow.ended.wait(0.3):
                        return

    slow = receive(handle)
    result = send(
        f"https://127.0.0.1:{slow.port}/",
        allowed_networks=LOOPBACK,
        timeout=timedelta(seconds=1),
        tls_context=certificates.client_context(),
    )
    assert str(result.error).startswith("timed out while ")


# --- Proxies ------------------------------------------------------------------------------------

PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)


def test_proxy_variables_of_the_environment_are_ignored(
    receive: Callable[..., Receiver], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = receive(answer(OK))
    for name in PROXY_VARIABLES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    context = certificates.client_context()
    for tls in (None, certificates.server_context("127.0.0.1")):
        receiver = receive(answer(OK), tls=tls)
        assert send(receiver.url, allowed_networks=LOOPBACK, tls_context=context).error is None
    assert proxy.connections == 0


def tunnel(receiver: Receiver) -> Handler:
    """A proxy, of which every tunnel leads to the receiver."""

    def handle(proxy: Receiver, connection: socket.socket) -> None:
        proxy.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", receiver.port)) as inner:

            def pass_answer() -> None:
                # Both are closed while it waits, when the sender closes its connection.
                with suppress(OSError):
                    while part := inner.recv(65_536):
                        connection.sendall(part)

            threading.Thread(target=pass_answer, daemon=True).start()
            while part := connection.recv(65_536):
                inner.sendall(part)

    return handle


def test_configured_proxy_resolves_names_and_tunnels_tls(
    receive: Callable[..., Receiver], certificates: Certificates
) -> None:
    receiver = receive(answer(OK), tls=certificates.server_context(NAME))
    proxy = receive(tunnel(receiver))
    resolver = Resolver(["127.0.0.1"])
    result = send(
        f"https://{NAME}/hook",
        proxy=f"http://user:pass%40word@proxy.internal:{proxy.port}",
        resolve=resolver,
        tls_context=certificates.client_context(),
    )
    assert (result.status_code, result.error) == (200, None)
    [request] = proxy.requests
    assert request.line.startswith(f"CONNECT {NAME}:443 HTTP/1.")
    assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYXNzQHdvcmQ="
    assert "proxy-authorization" not in receiver.requests[0].headers
    assert resolver.look_ups == 1, "of the proxy's own name"


def test_configured_proxy_forwards_http(receive: Callable[..., Receiver]) -> None:
    proxy = receive(answer(OK))
    result = send(f"http://{NAME}:8080/hook?a=b#c", proxy=f"http://127.0.0.1:{proxy.port}")
    assert (result.status_code, result.error) == (200, None)
    [request] = proxy.requests
    assert request.line == f"POST http://{NAME}:8080/hook?a=b HTTP/1.1"
    assert request.headers["host"] == f"{NAME}:8080"


def test_proxy_gets_no_private_address(receive: Callable[..., Receiver]) -> None:
    proxy = receive(answer(OK))
    for host in PRIVATE_SPELLINGS:
        result = send(f"http://{host}/", proxy=f"http://127.0.0.1:{proxy.port}")
        assert result.error == "private address"
    assert proxy.connections == 0


def test_proxy_that_refuses_is_described(receive: Callable[..., Receiver]) -> None:
    proxy = receive(answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
    result = send(f"https://{NAME}/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert (result.status_code, result.error) == (None, "Tunnel connection failed: 403 Forbidden")


def test_every_network_contains_every_address() -> None:
    for host in PRIVATE_SPELLINGS:
        assert check_webhook_url(f"http://{host}/", EVERY_NETWORK)
