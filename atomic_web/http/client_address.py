"""IP addresses of clients, as connections and proxies report them."""

import ipaddress
import re
from functools import lru_cache
from typing import Final

# Some proxies append the port, which differs for each connection.
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


MAX_CACHED_ADDRESSES: Final = 4_096


@lru_cache(maxsize=MAX_CACHED_ADDRESSES)
def normalize_ip_address(text: str) -> str | None:
    """The usual spelling of the address that `parse_ip_address` finds."""
    ip = parse_ip_address(text)
    return str(ip) if ip else None


def parse_ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None if the text is no IP address. An IPv4-mapped address becomes the IPv4 address, and an
    IPv6 zone is dropped: it is arbitrary text that only the sender's machine understands."""
    match = _WITH_PORT.fullmatch(text)
    try:
        ip = ipaddress.ip_address(match[1] or match[2] if match else text)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ipaddress.IPv6Address(int(ip))
    return ip
