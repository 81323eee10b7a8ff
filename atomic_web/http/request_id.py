"""One id per request, in the answer and in every log line."""

import random
import re
from collections.abc import Mapping
from typing import Any, Final

from atomic_core.domain.merchants import holds_a_key

REQUEST_ID: Final = "X-Request-Id"

# Visible ASCII can be echoed in a header and written to a log without further thought.
ACCEPTABLE: Final = re.compile(r"[\x21-\x7e]{1,128}")

_VERSION_4: Final = 0x4 << 76
_VARIANT: Final = 0b10 << 62
_RANDOM: Final = ~(0xF << 76 | 0b11 << 62)


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The caller's own, if it is fit to be repeated (an API key is not); else a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if ACCEPTABLE.fullmatch(given) and not holds_a_key(given) else _new()


def _new() -> str:
    """A version 4 UUID. It must be unique, not secret: so from Python's own generator (seeded
    anew in every forked process), which asks the system for nothing."""
    bits = random.getrandbits(128) & _RANDOM | _VERSION_4 | _VARIANT
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
