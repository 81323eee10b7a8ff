"""Clients' addresses, as connections and proxies tell them."""

import ipaddress
import re
from typing import Final

# Some proxies add the port, which is another one for each connection.
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


def read_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; None if it is none. An IPv4 address is the same whichever way it is written, and
    an IPv6 one without its zone, which is any text and means nothing here."""
    port = _WITH_PORT.fullmatch(text)
    try:
        ip = ipaddress.ip_address(port[1] or port[2] if port else text)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ipaddress.IPv6Address(int(ip))
    return ip
