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
    """Whether the path is not empty, has no encoded slash, and does not begin with two slashes.

    Any other path is not the URL of a resource, but WSGI decodes %2F, and Werkzeug removes leading
    slashes, so that it would match a route. A proxy that restricts access by path prefix does
    neither, and would let it pass.
    """
    if not environ.get("PATH_INFO"):
        return False  # `GET http://host`; Werkzeug would redirect to the host in the Host header
    target: str = environ.get("RAW_URI") or environ["PATH_INFO"]
    if "//" not in target and "%2" not in target:
        return True  # the usual spelling needs no parsing
    # A request line may contain an absolute URL (RFC 9112, 3.2.2).
    authority = _AUTHORITY.match(target)
    path = _PATH.match(target, authority.end() if authority else 0)
    text = path[0] if path else ""
    if text.startswith(KEY_PATH):
        return True
    return not text.startswith("//") and "%2f" not in text.lower()
