"""Request paths in the form in which the client sent them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from atomic_web.context import BASE_PATH

KEY_PATH: Final = f"{BASE_PATH}/idempotency-keys/"
"""What follows is an Idempotency-Key, which may contain slashes. Clients encode them as %2F."""

_AUTHORITY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_PATH: Final = re.compile(r"[^?#]*")


def has_canonical_path(environ: Mapping[str, Any]) -> bool:
    """Whether the path neither begins with two slashes nor contains an encoded slash.

    Such a path is not the URL of any resource, but WSGI decodes %2F, and Werkzeug removes leading
    slashes, so that it would match a route. A proxy that restricts access by path prefix does
    neither, and would let it pass.
    """
    target: str = environ.get("RAW_URI") or environ.get("PATH_INFO", "")
    if "//" not in target and "%2" not in target:
        return True  # the usual spelling needs no parsing
    # A request line may contain an absolute URL (RFC 9112, 3.2.2).
    authority = _AUTHORITY.match(target)
    path = _PATH.match(target, authority.end() if authority else 0)
    text = path[0] if path else ""
    if text.startswith(KEY_PATH):
        return True
    return not text.startswith("//") and "%2f" not in text.lower()
