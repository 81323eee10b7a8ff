"""Clock, identifiers, secrets and key hashing from the standard library."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemIdGenerator:
    def new_id(self) -> UUID:
        """A version 7 UUID (RFC 9562, method 3): 48 bits of milliseconds, 12 bits of fractions of a
        millisecond, so that successive ids sort in order, and 62 random bits."""
        milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
        fraction = (nanoseconds << 12) // 1_000_000
        random = secrets.randbits(62)
        return UUID(int=milliseconds << 80 | _VERSION_7 | fraction << 64 | _VARIANT | random)

    def new_secret(self) -> str:
        return secrets.token_hex(24)


class Sha256Hasher:
    """Plain SHA-256: keys have 192 random bits and cannot be guessed, so a slow hash would protect
    nothing and delay every request. Not for passwords."""

    def hash(self, raw_key: str) -> bytes:
        return hashlib.sha256(raw_key.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class ManualClock:
    """A clock that tests set."""

    time: datetime

    def now(self) -> datetime:
        return self.time
