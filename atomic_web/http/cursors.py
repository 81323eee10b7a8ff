"""Opaque cursors: the position in a list after which the next page begins.

Format: base64url of version, checksum and position. The checksum covers the position and the
identity of the list (its name, merchant and filters), so a cursor that was changed or that belongs
to another list is refused. Cursors are no secret: whatever a cursor says, each list is restricted
to the authenticated merchant.
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
from atomic_core.domain.ledger import to_microseconds
from atomic_core.domain.lists import Position

MAX_LENGTH: Final = 64
"""Characters. Leaves room for future versions."""

_VERSION: Final = b"\1"
_CHECKSUM_BYTES: Final = 8

_POSITION: Final = struct.Struct(">q16s")
_SEQUENCE: Final = struct.Struct(">q")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CursorCodec:
    """Encodes and decodes the cursors of one list of one merchant."""

    merchant_id: UUID
    list_identity: tuple[Any, ...]
    """The list's name, parent id and filters."""

    def encode_position(self, position: Position) -> str:
        return self._encode(_POSITION.pack(to_microseconds(position.created_at), position.id.bytes))

    def encode_sequence(self, sequence: int) -> str:
        return self._encode(_SEQUENCE.pack(sequence))

    def decode_position(self, cursor: str | None) -> Position | None:
        """Raises ValidationFailed."""
        if cursor is None:
            return None
        micros, id = _POSITION.unpack(self._decode(cursor, _POSITION.size))
        try:
            return Position(_EPOCH + timedelta(microseconds=micros), UUID(bytes=id))
        except OverflowError as error:
            raise _invalid_cursor() from error

    def decode_sequence(self, cursor: str | None) -> int | None:
        """Raises ValidationFailed."""
        if cursor is None:
            return None
        return _SEQUENCE.unpack(self._decode(cursor, _SEQUENCE.size))[0]

    def _encode(self, position: bytes) -> str:
        raw = _VERSION + self._checksum(position) + position
        return urlsafe_b64encode(raw).rstrip(b"=").decode()

    def _decode(self, cursor: str, size: int) -> bytes:
        try:
            raw = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise _invalid_cursor() from error
        position = raw[len(_VERSION) + _CHECKSUM_BYTES :]
        # Encoded again and compared as a whole, so that each cursor has one spelling only.
        if len(position) != size or self._encode(position) != cursor:
            raise _invalid_cursor()
        return position

    def _checksum(self, position: bytes) -> bytes:
        identity = orjson.dumps([self.merchant_id, *self.list_identity], default=sorted)
        return hashlib.sha256(identity + position).digest()[:_CHECKSUM_BYTES]


def _invalid_cursor() -> ValidationFailed:
    message = "cursor does not belong to this list and these filters. Request the first page again."
    return ValidationFailed(details={"cursor": [message]})
