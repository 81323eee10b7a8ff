"""Clock, identifiers, secrets and key hashing from the standard library."""

import hashlib
import secrets
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62
_RANDOM_BITS: Final = (1 << 62) - 1


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemIdGenerator:
    def new_id(self) -> UUID:
        """A version 7 UUID (RFC 9562, method 3): 48 bits of milliseconds, 12 bits of fractions of a
        millisecond, so that successive ids sort in order, and 62 random bits."""
        [id] = self.new_ids(1)
        return id

    def new_ids(self, count: int) -> Sequence[UUID]:
        # Each read of random bytes is a system call, which takes longer than the rest of an id.
        random_numbers = struct.unpack(f"{count}Q", secrets.token_bytes(8 * count))
        return [_build_id(random) for random in random_numbers]

    def new_secret(self) -> str:
        return secrets.token_hex(24)


def _build_id(random: int) -> UUID:
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    return UUID(
        int=milliseconds << 80 | _VERSION_7 | fraction << 64 | _VARIANT | random & _RANDOM_BITS
    )


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


class SettlementOff:
    """A `Dependency` port where SETTLE is off: payments are accepted and wait."""

    name = "settlement"
    is_required = False

    def is_up(self) -> bool:
        return False
