"""When the certificate of a server ends."""

import socket
import ssl
import struct
from datetime import datetime
from typing import Final

from cryptography import x509

TIMEOUT_SECONDS: Final = 2.0

_SSL_REQUEST: Final = struct.pack("!II", 8, 80_877_103)
"""How a client of PostgreSQL asks for TLS."""


def read_certificate_end(host: str, port: int, *, is_postgres: bool = False) -> datetime | None:
    """None if the server does not speak TLS, or cannot be reached. Whether the certificate is
    trusted is decided by the drivers when they connect, and not here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), TIMEOUT_SECONDS) as connection:
            if is_postgres:
                connection.sendall(_SSL_REQUEST)
                if connection.recv(1) != b"S":
                    return None
            with context.wrap_socket(connection, server_hostname=host) as secured:
                certificate = secured.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc if certificate else None
