"""Where the next page of a list begins, in a form that is nobody's business but ours.

Binary in base64url: version, checksum, position. The checksum is over the position and over the
list it is of, whose merchant and filters included: a cursor that was changed, or shown to another
list, is refused. It is no secret and need not be: whatever a cursor says, each list is restricted
to its caller's merchant.
"""

import hashlib
import struct
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.ledger import microseconds
from atomic_core.domain.lists import Position

MAX_LENGTH: Final = 64
"""Characters, with room for versions to come."""

_VERSION: Final = b"\1"
_CHECKSUM: Final = 8
"""Bytes: enough that no accident passes."""

_PLACE: Final = struct.Struct(">q16s")
_SEQUENCE: Final = struct.Struct(">q")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one list, as one merchant asks for it. `of` is all that makes it this list:
    its name, ids, filters."""

    merchant_id: UUID
    of: tuple[Any, ...]

    def at(self, position: Position) -> str:
        return self._seal(_PLACE.pack(microseconds(position.created_at), position.id.bytes))

    def at_sequence(self, sequence: int) -> str:
        return self._seal(_SEQUENCE.pack(sequence))

    def position(self, cursor: str | None) -> Position | None:
        """None for none. Raises ValidationFailed."""
        if cursor is None:
            return None
        micros, id = _PLACE.unpack(self._open(cursor, _PLACE.size))
        try:
            return Position(_EPOCH + timedelta(microseconds=micros), UUID(bytes=id))
        except OverflowError as error:
            raise _refused() from error

    def sequence(self, cursor: str | None) -> int | None:
        """None for none. Raises ValidationFailed."""
        if cursor is None:
            return None
        return _SEQUENCE.unpack(self._open(cursor, _SEQUENCE.size))[0]

    def _seal(self, place: bytes) -> str:
        sealed = _VERSION + self._checksum(place) + place
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _open(self, cursor: str, size: int) -> bytes:
        try:
            sealed = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise _refused() from error
        place = sealed[len(_VERSION) + _CHECKSUM :]
        # Made again and compared whole, so that each cursor has one spelling.
        if len(place) != size or self._seal(place) != cursor:
            raise _refused()
        return place

    def _checksum(self, place: bytes) -> bytes:
        told = orjson.dumps([self.merchant_id, *self.of], default=sorted)
        return hashlib.sha256(told + place).digest()[:_CHECKSUM]


def _refused() -> ValidationFailed:
    told = "Is none of this list with these filters. Ask for the first page again."
    return ValidationFailed(details={"cursor": [told]})
