"""What our gunicorn worker adds to the WSGI environ. Other servers, such as the tests' own, do not
add it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

RAW_HEADERS: Final = "atomic.raw_headers"
"""The request's headers as pairs, names in capitals. WSGI joins repeated headers with a comma."""

IS_STOPPING: Final = "atomic.is_stopping"
"""True from SIGTERM on: readiness fails, so that a load balancer sends no more requests."""


def is_repeated(environ: Mapping[str, Any], name: str) -> bool:
    """Whether the header is known to have been sent more than once."""
    headers: Sequence[tuple[str, str]] = environ.get(RAW_HEADERS, ())
    upper_name = name.upper()
    return sum(header == upper_name for header, _ in headers) > 1


def is_stopping(environ: Mapping[str, Any]) -> bool:
    return environ.get(IS_STOPPING, False)
