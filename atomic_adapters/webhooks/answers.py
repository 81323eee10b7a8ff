"""What receivers answer, and what goes wrong, in words."""

import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Final, NamedTuple

from urllib3.exceptions import HTTPError

from atomic_adapters.webhooks.answer_reader import HttpAnswer
from atomic_adapters.webhooks.exchange import Exchange, SendFailed

MAX_TEXT_BYTES: Final = 1_024
"""Of an answer's body that are kept."""

_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)


class Answer(NamedTuple):
    status: int | None = None
    text: str = ""
    retry_after: int | None = None
    """Seconds."""

    @classmethod
    def of(cls, answer: HttpAnswer) -> "Answer":
        text = answer.body[:MAX_TEXT_BYTES].decode(errors="replace")
        # PostgreSQL stores no NUL in a text.
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        retry_after = parse_retry_after(answer.retry_after) if answer.retry_after else None
        return cls(answer.status, text, retry_after)


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
        case ssl.SSLEOFError() | ConnectionError():
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
