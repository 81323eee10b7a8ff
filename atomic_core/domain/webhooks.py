"""Where webhooks may go: the public internet, and nowhere else.

Checked when a payment is taken, by the URL's own words; no name is resolved here. What a name
resolves to must be checked again at the moment of delivery.
"""

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from atomic_core.domain.errors import ValidationFailed

MAX_URL_LENGTH: Final = 2048
"""What browsers and proxies have long agreed to carry."""

_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def check_webhook_url(url: str) -> str:
    """Return the URL, or raise ValidationFailed if it cannot be a public http(s) address."""
    if fault := _fault(url):
        raise ValidationFailed(details={"webhookUrl": [fault]})
    return url


def _fault(url: str) -> str | None:
    if len(url) > MAX_URL_LENGTH:
        return f"Must be at most {MAX_URL_LENGTH} characters."
    if any(not 0x21 <= ord(character) <= 0x7E or character == "\\" for character in url):
        return "Must be visible ASCII without backslashes."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "Is not a valid URL."
    if parts.scheme not in ("https", "http"):
        return "Must begin with https:// or http://."
    if "@" in parts.netloc:
        return "Must not carry a user name or password."
    if not host or port == 0 or "%" in host:
        return "Is not a valid URL."
    return None if _is_public(host.rstrip(".")) else "Must be a public address."


def _is_public(host: str) -> bool:
    address = _literal_address(host)
    if address is not None:
        return _is_public_address(address)
    named = f".{host}"
    return "." in host and not named.endswith(_LOCAL_NAMES)


def _literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError:
            # Not an address and not a name either: the unspecified address is never public.
            return ipaddress.IPv6Address(0)
    try:
        # inet_aton knows the spellings that C libraries accept: 127.1, 0x7f.1, 0177.0.0.1,
        # 2130706433. It reads no file and asks no server.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _is_public_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None:
            return False
        if inner is not None:
            return _is_public_address(inner)
    return address.is_global and not address.is_multicast
