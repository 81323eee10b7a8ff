"""Headers as they came. WSGI joins repeated ones with a comma, and two halves can make a whole."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

RAW_HEADERS: Final = "atomic.raw_headers"
"""Under this name our worker leaves them in the environ, names in capitals; other servers, such
as the tests' own, do not."""


def is_repeated(environ: Mapping[str, Any], name: str) -> bool:
    """Whether the header is known to have come more than once."""
    headers: Sequence[tuple[str, str]] = environ.get(RAW_HEADERS, ())
    capitals = name.upper()
    return sum(sent == capitals for sent, _ in headers) > 1
