"""Receivers of webhooks on real sockets, friendly and hostile, and certificates for them."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HANG_SECONDS: Final = 20
"""Longer than any sender in a test waits, and only then."""

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Received(NamedTuple):
    """A request as it came."""

    line: str
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes


Handler = Callable[["Receiver", socket.socket], None]
"""Serves one connection."""


@dataclass
class Receiver:
    """Counts its connections and keeps what it receives. `handle` serves each connection in a
    thread of its own, and may raise OSError."""

    handle: Handler
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    requests: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    """Set at the end of the test: a receiver that hangs waits for it."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(
            (self.host, self.port), family=socket.AF_INET6 if ":" in self.host else socket.AF_INET
        )
        self.port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/hook"

    def read_request(self, connection: socket.socket) -> Received | None:
        """None if the sender has closed the connection."""
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65_536)
            if not part:
                return None
            head += part
        head, _, body = head.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (header.partition(":") for header in lines)
        }
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65_536)
        request = Received(line, headers, body)
        self.requests.append(request)
        return request

    @contextmanager
    def run(self) -> Iterator["Receiver"]:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            # Ends accept(), which closing alone does not.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            thread.join(HANG_SECONDS)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                self.handle(self, connection)


def answer(*responses: bytes) -> Handler:
    """Answers the requests of a connection in turn, the last response again and again, until the
    sender closes the connection."""

    def handle(receiver: Receiver, connection: socket.socket) -> None:
        remaining = list(responses)
        while receiver.read_request(connection):
            connection.sendall(remaining[0] if len(remaining) == 1 else remaining.pop(0))

    return handle


def hang(receiver: Receiver, connection: socket.socket) -> None:
    """Reads the request and does not answer."""
    receiver.read_request(connection)
    receiver.ended.wait(HANG_SECONDS)


def drip(text: bytes) -> Handler:
    """Sends one byte at a time. The answer is complete after HANG_SECONDS."""

    def handle(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        for byte in text:
            connection.sendall(bytes([byte]))
            if receiver.ended.wait(HANG_SECONDS / len(text)):
                return

    return handle


def send_and_close(text: bytes) -> Handler:
    """Reads the request, sends the text and closes the connection."""

    def handle(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        connection.sendall(text)

    return handle


@dataclass
class Flood:
    """Sends an answer with a body of a gibibyte, and counts what it could send."""

    head: bytes
    chunk: bytes = b"a" * 65_536
    chunks: int = 16_384
    sent: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def __call__(self, receiver: Receiver, connection: socket.socket) -> None:
        receiver.read_request(connection)
        try:
            connection.sendall(self.head)
            for _ in range(self.chunks):
                connection.sendall(self.chunk)
                self.sent += len(self.chunk)
        finally:
            self.is_over.set()


class Certificates:
    """A certificate authority, and what it has issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self._certificate = self._issue(self._name, self._key, is_authority=True)
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def client_context(self) -> ssl.SSLContext:
        """Trusts this authority."""
        return ssl.create_default_context(cafile=str(self.authority))

    def server_context(
        self, *names: str, days: int = 30, is_self_signed: bool = False
    ) -> ssl.SSLContext:
        """With a certificate for these names and addresses, which ends in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._issue(subject, key, names, days, is_self_signed=is_self_signed)
        path = self.folder / f"{len(list(self.folder.iterdir()))}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _issue(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: tuple[str, ...] = (),
        days: int = 30,
        *,
        is_authority: bool = False,
        is_self_signed: bool = False,
    ) -> x509.Certificate:
        end = datetime.now(UTC) + timedelta(days=days)
        issuer, signer = (subject, key) if is_self_signed else (self._name, self._key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=365))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if is_authority:
            usage = x509.KeyUsage(*(False, False, False, False, False, True, True, False, False))
            builder = builder.add_extension(usage, critical=True)
        if names:
            general_names = [_to_general_name(name) for name in names]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(general_names), critical=False
            )
        return builder.sign(signer, hashes.SHA256())


def _to_general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
