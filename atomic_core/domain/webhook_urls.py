"""Where webhooks may go: the public internet, and nowhere else.

Checked when a payment is taken, by the URL's own words; no name is resolved here. What a name
resolves to must be checked again at the moment of delivery.
"""

import ipaddress
import re
import socket
from typing import Final
from urllib.parse import urlsplit

from atomic_core.domain.errors import ValidationFailed

MAX_URL_LENGTH: Final = 2048
"""What browsers and proxies have long agreed to carry."""

MAX_HOST_LENGTH: Final = 253
"""A name in the DNS (RFC 1035, 2.3.4)."""

# The host as every parser must read it: parsers that disagree about brackets or a second colon
# are how a checked URL ends up elsewhere.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\d{0,5}))?", re.IGNORECASE
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# Names that mean a private network wherever they are looked up. A single label does as well.
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

# What Python's is_global calls public in at least one version, though it is not.
_NOT_PUBLIC_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; one cloud's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # one cloud's platform, seen from inside its machines
    )
)
# Only 2000::/3 has been given out (RFC 4291, 2.4). Outside it lie loopback, link-local, private
# and multicast, and the mapped, compatible and NAT64 ways to write an IPv4 address.
_GIVEN_OUT_V6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)


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
    except ValueError:
        return "Is not a valid URL."
    if parts.scheme not in ("https", "http"):
        return "Must begin with https:// or http://."
    if "@" in parts.netloc:
        return "Must not carry a user name or password."
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None or not 1 <= int(authority["port"] or 443) <= 65_535:
        return "Is not a valid URL."
    if authority["ipv6"]:
        return _fault_of_v6(authority["ipv6"])
    return _fault_of_name(authority["name"].lower())


def _fault_of_v6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return "Is not a valid URL."
    hidden = any(address in network for network in _NOT_PUBLIC_V6)
    public = address in _GIVEN_OUT_V6 and address.is_global and not hidden
    return None if public else "Must be a public address."


def _fault_of_name(host: str) -> str | None:
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        return "Is not a valid URL."
    try:
        # inet_aton knows the spellings that C libraries accept: 127.1, 0x7f.1, 0177.0.0.1,
        # 2130706433. It reads no file and asks no server.
        address = ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError:
        address = None
    if address is not None:
        hidden = any(address in network for network in _NOT_PUBLIC_V4)
        public = address.is_global and not address.is_multicast and not hidden
        return None if public else "Must be a public address."
    if labels[-1][0].isdigit():
        # No top-level domain begins with a digit: this is an address that some parsers would
        # still make sense of, such as 256.256.256.256, 127.0.0.08 or 1.2.3.4.5.
        return "Is not a valid URL."
    local = len(labels) == 1 or f".{name}".endswith(_LOCAL_NAMES)
    return "Must be a public address." if local else None
