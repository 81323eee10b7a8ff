"""Webhook URLs: only public internet addresses are accepted.

The URL is checked when a payment is created, without resolving its host name. A resolved address
must be checked again at delivery.
"""

import ipaddress
import re
import socket
from typing import Final
from urllib.parse import urlsplit

from atomic_core.domain.errors import ValidationFailed

MAX_URL_LENGTH: Final = 2048
"""Characters. Browsers and proxies support this length."""

MAX_HOST_LENGTH: Final = 253
"""Characters of a DNS name (RFC 1035, 2.3.4)."""

# Strict, because URL parsers that disagree about brackets or a second colon would let a checked URL
# reach another host.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\d{0,5}))?", re.IGNORECASE
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# Names of private networks. A name of a single label is one too.
_LOCAL_NAMES: Final = (
    ".localhost",
    ".localdomain",
    ".localdomain6",
    ".local",
    ".internal",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".home.arpa",
    ".lan",
    ".svc",
    ".onion",
)

# Not public, although is_global is true for them in at least one Python version.
_NOT_PUBLIC_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; one cloud's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # one cloud's platform, seen from inside its machines
    )
)
# Only 2000::/3 is allocated (RFC 4291, 2.4). Outside are loopback, link-local, private and
# multicast addresses, and the mapped, compatible and NAT64 forms of IPv4 addresses.
_ALLOCATED_V6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: embeds an IPv4 address
        "3fff::/20",  # documentation
    )
)


def check_webhook_url(url: str) -> str:
    """Return the URL. Raises ValidationFailed unless it can be a public http(s) address."""
    if problem := _find_problem(url):
        raise ValidationFailed(details={"webhookUrl": [problem]})
    return url


def _find_problem(url: str) -> str | None:
    if len(url) > MAX_URL_LENGTH:
        return f"Must be at most {MAX_URL_LENGTH} characters."
    if any(not 0x21 <= ord(character) <= 0x7E or character == "\\" for character in url):
        return "Must contain only visible ASCII characters, without backslashes."
    try:
        parts = urlsplit(url)
    except ValueError:
        return "Must be a valid URL."
    if parts.scheme not in ("https", "http"):
        return "Must start with https:// or http://."
    if "@" in parts.netloc:
        return "Must not contain a user name or password."
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None or not 1 <= int(authority["port"] or 443) <= 65_535:
        return "Must be a valid URL."
    if authority["ipv6"]:
        return _check_ipv6_address(authority["ipv6"])
    return _check_host_name(authority["name"].lower())


def _check_ipv6_address(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return "Must be a valid URL."
    is_excluded = any(address in network for network in _NOT_PUBLIC_V6)
    is_public = address in _ALLOCATED_V6 and address.is_global and not is_excluded
    return None if is_public else "Must be a public address."


def _check_host_name(host: str) -> str | None:
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        return "Must be a valid URL."
    try:
        # inet_aton accepts what C libraries accept: 127.1, 0x7f.1, 0177.0.0.1, 2130706433. It does
        # not resolve names.
        address = ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError:
        address = None
    if address is not None:
        is_excluded = any(address in network for network in _NOT_PUBLIC_V4)
        is_public = address.is_global and not address.is_multicast and not is_excluded
        return None if is_public else "Must be a public address."
    if labels[-1][0].isdigit():
        # No top-level domain starts with a digit, but some parsers read 256.256.256.256, 127.0.0.08
        # or 1.2.3.4.5 as an address.
        return "Must be a valid URL."
    is_local = len(labels) == 1 or f".{name}".endswith(_LOCAL_NAMES)
    return "Must be a public address." if is_local else None
