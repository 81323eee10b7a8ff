"""Request ids, in every response and every log line."""

import random
import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from atomic_core.domain.merchants import contains_secret

REQUEST_ID: Final = "X-Request-Id"

# Visible ASCII is safe to echo in a header and to write to a log.
REQUEST_ID_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,128}")

_VERSION_4: Final = 0x4 << 76
_VARIANT: Final = 0b10 << 62
_RANDOM: Final = ~(0xF << 76 | 0b11 << 62)


def read_client_request_id(environ: Mapping[str, Any]) -> str | None:
    """The client's own id if it has one that may be echoed: an API key may not."""
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    if REQUEST_ID_PATTERN.fullmatch(request_id) and not contains_secret(request_id):
        return request_id
    return None


def generate_request_id() -> UUID:
    """A version 4 UUID. It must be unique but not secret, so Python's own generator serves, which
    needs no system call and is reseeded in every forked process."""
    bits = random.getrandbits(128) & _RANDOM | _VERSION_4 | _VARIANT
    return UUID(int=bits)
