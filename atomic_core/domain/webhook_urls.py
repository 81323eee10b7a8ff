"""Webhook URLs: only public internet addresses are accepted, and networks that the operator allows.

The URL is checked when it is stored, without resolving its host name. Each address that the name
resolves to is checked when a webhook is sent (`is_allowed_address`).
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from atomic_core.domain.errors import ValidationFailed

MAX_URL_LENGTH: Final = 2048
"""Characters. Browsers and proxies support this length."""

MAX_HOST_LENGTH: Final = 253
"""Characters of a DNS name (RFC 1035, 2.3.4)."""

NOT_PUBLIC: Final = "Must be a public address."

# Strict, because URL parsers that disagree about brackets or a second colon would let a checked URL
# reach another host.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\d{0,5}))?", re.IGNORECASE
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

EVERY_NETWORK: Final[Sequence[Network]] = (
    ipaddress.IPv4Network("0.0.0.0/0"),
    ipaddress.IPv6Network("::/0"),
)

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


def check_webhook_url(url: str, allowed_networks: Sequence[Network] = ()) -> str:
    """Return the URL. Raises ValidationFailed unless it can be an http(s) URL of a public address,
    or of one in `allowed_networks`."""
    if problem := find_url_problem(url, allowed_networks):
        raise ValidationFailed(details={"webhookUrl": [problem]})
    return url


def is_allowed_address(text: str, allowed_networks: Sequence[Network] = ()) -> bool:
    """Whether a webhook may be sent to this IP address: it is public, or in one of the networks."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return _is_public(address) or any(address in network for network in allowed_networks)


def find_url_problem(url: str, allowed_networks: Sequence[Network] = ()) -> str | None:
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
        return _check_ipv6_address(authority["ipv6"], allowed_networks)
    return _check_host_name(authority["name"].lower(), allowed_networks)


def _check_ipv6_address(text: str, allowed_networks: Sequence[Network]) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return "Must be a valid URL."
    return _check_address(address, allowed_networks)


def _check_host_name(host: str, allowed_networks: Sequence[Network]) -> str | None:
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
        return _check_address(address, allowed_networks)
    if labels[-1][0].isdigit():
        # No top-level domain starts with a digit, but some parsers read 256.256.256.256, 127.0.0.08
        # or 1.2.3.4.5 as an address.
        return "Must be a valid URL."
    is_local = len(labels) == 1 or f".{name}".endswith(_LOCAL_NAMES)
    is_refused = is_local and not _can_be_in(name, allowed_networks)
    return NOT_PUBLIC if is_refused else None


def _can_be_in(local_name: str, networks: Sequence[Network]) -> bool:
    """Whether a local name can resolve to an address in the networks: localhost to a loopback
    address (RFC 6761, 6.3), any other name to any other address."""
    if f".{local_name}".endswith(".localhost"):
        return any(is_allowed_address(address, networks) for address in ("127.0.0.1", "::1"))
    return any(not network.is_loopback for network in networks)


def _check_address(address: Address, allowed_networks: Sequence[Network]) -> str | None:
    is_allowed = is_allowed_address(str(address), allowed_networks)
    return None if is_allowed else NOT_PUBLIC


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        is_excluded = any(address in network for network in _NOT_PUBLIC_V4)
        return address.is_global and not address.is_multicast and not is_excluded
    is_excluded = any(address in network for network in _NOT_PUBLIC_V6)
    return address in _ALLOCATED_V6 and address.is_global and not is_excluded
