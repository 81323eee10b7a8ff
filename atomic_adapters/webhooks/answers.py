"""What receivers answer, and what goes wrong, in words."""

import re
import ssl
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead
from typing import Final, NamedTuple

from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from atomic_adapters.webhooks.exchange import MAX_BYTES, Exchange, SendFailed

MAX_TEXT_BYTES: Final = 1_024
"""Of an answer's body that are kept."""

_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)


class Answer(NamedTuple):
    status: int | None = None
    text: str = ""
    retry_after: int | None = None
    """Seconds."""
    is_complete: bool = False
    """Whether all of it was read, so that the connection can serve a further request."""


def read_answer(response: HTTPResponse, exchange: Exchange) -> Answer:
    """Read up to MAX_BYTES. Raises SendFailed and what the sockets raise."""
    body = bytearray()
    is_complete = False
    with closing(response):
        while not is_complete and exchange.received < MAX_BYTES:
            part = response.read1(MAX_BYTES)
            body += part
            is_complete = not part or response.length_remaining == 0
    # PostgreSQL stores no NUL in a text.
    text = body[:MAX_TEXT_BYTES].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    retry_after = parse_retry_after(response.headers.get("Retry-After", ""))
    return Answer(response.status, text, retry_after, is_complete)


def parse_retry_after(value: str) -> int | None:
    """Seconds from a number or a date (RFC 9110, 10.2.3); None if it is neither."""
    if _SECONDS.fullmatch(value.strip()):
        return int(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0, round((date - datetime.now(UTC)).total_seconds()))


def describe_status(status: int | None) -> str | None:
    """None for 2xx."""
    if status is not None and 200 <= status < 300:
        return None
    if status is not None and 300 <= status < 400:
        return f"answered {status}: redirects are not followed"
    return f"answered {status}"


def describe_error(error: Exception, exchange: Exchange) -> SendFailed:
    """What a socket or the HTTP library has raised."""
    while isinstance(error, HTTPError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    match error:
        case SendFailed():
            return error
        case ssl.SSLCertVerificationError():
            return SendFailed(f"TLS certificate not valid: {error.verify_message}")
        case ssl.SSLEOFError() | ConnectionError() | IncompleteRead():
            return SendFailed(f"the connection was closed early, while {exchange.activity}")
        case ssl.SSLError():
            return SendFailed(f"TLS failed: {error.reason or error}")
        case TimeoutError():
            return exchange.time_out()
        case HTTPException():
            return SendFailed("the answer is not valid HTTP")
        case OSError():
            # Also a proxy that refuses a tunnel.
            return SendFailed(error.strerror or str(error))
        case _:
            return SendFailed(f"the answer cannot be read: {error}")
