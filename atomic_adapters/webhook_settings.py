"""The settings of sending webhooks."""

import base64
import ipaddress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from atomic_adapters.environ import EnvironReader
from atomic_core.domain.webhook_urls import Network

ENCRYPTION_KEYS: Final = "WEBHOOK_ENCRYPTION_KEYS"

KEY_BYTES: Final = 32

LOOPBACK: Final = "127.0.0.0/8,::1/128"
"""A developer's receiver."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    encryption_keys: tuple[str, ...] = field(repr=False)
    """Of the stored signing secrets; the first one encrypts. Without keys, webhooks are off."""
    allowed_networks: tuple[Network, ...]
    """Not public, and yet webhooks may be sent there."""
    concurrency: int
    """Webhooks that one process sends at once."""
    timeout: timedelta
    """Of one webhook with its answer."""
    retention: timedelta
    """How long deliveries that have ended are kept."""
    proxy: str = field(repr=False)
    """The URL of a forward proxy; empty for none. It may contain a password."""

    @classmethod
    def read(cls, reader: EnvironReader, *, is_production: bool) -> "WebhookSettings":
        return cls(
            encryption_keys=reader.read(
                ENCRYPTION_KEYS,
                "",
                _parse_keys,
                "keys that `atomic webhooks new-key` prints, separated by commas",
                secret=True,
            ),
            allowed_networks=reader.read(
                "WEBHOOK_ALLOW_PRIVATE",
                "none" if is_production else LOOPBACK,
                _parse_networks,
                "networks such as 10.1.0.0/16,fd00::/8, or none",
            ),
            # A thread each, which mostly waits.
            concurrency=reader.read_integer("WEBHOOK_CONCURRENCY", 64, 1, 1_000),
            # Longer waits would only let a slow receiver hold more threads.
            timeout=reader.read_seconds("WEBHOOK_TIMEOUT_SECONDS", 10, 1, 30),
            retention=timedelta(days=reader.read_integer("WEBHOOK_RETENTION_DAYS", 30, 1, 3_650)),
            proxy=reader.read(
                "WEBHOOK_PROXY",
                "",
                _parse_proxy,
                "a URL such as http://proxy.example:3128",
                secret=True,
            ),
        )


def _parse_keys(raw: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in raw.split(",") if part.strip())
    for key in keys:
        decoded = base64.b64decode(key.encode("ascii"), altchars=b"-_", validate=True)
        if len(decoded) != KEY_BYTES:
            raise ValueError
    return keys


def _parse_networks(raw: str) -> tuple[Network, ...]:
    if raw == "none":
        return ()
    networks = tuple(ipaddress.ip_network(part.strip()) for part in raw.split(",") if part.strip())
    if not networks:
        raise ValueError
    return networks


def _parse_proxy(raw: str) -> str:
    if raw:
        parts = urlsplit(raw)
        is_plain = parts.path in ("", "/") and not parts.query and not parts.fragment
        # Reading the port checks it.
        if parts.scheme != "http" or not parts.hostname or parts.port == 0 or not is_plain:
            raise ValueError
        if not raw.isascii() or not raw.isprintable() or " " in raw:
            raise ValueError
        parts.hostname.encode("idna")
    return raw
