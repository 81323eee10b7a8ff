"""API keys on the wire."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import (
    KEY_PREFIX,
    MAX_KEY_NAME,
    MAX_OVERLAP,
    Scope,
    check_key_name,
)
from atomic_web.schemas.descriptions import described
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, Timestamp

OVERLAP_SECONDS: Final = int(MAX_OVERLAP.total_seconds())

_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z"
)
_EXPECTED: Final = "Must be a moment in UTC such as 2027-01-31T12:00:00Z."


def read_moment(text: str) -> datetime:
    """RFC 3339 in UTC, to the microsecond. Raises ValueError."""
    if not _MOMENT.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text).astimezone(UTC)


@described({"format": "date-time", "pattern": f"^{_MOMENT.pattern}$"})
def check_moment(text: str) -> None:
    try:
        read_moment(text)
    except ValueError as error:
        raise ValidationError(_EXPECTED) from error


@described({"minLength": 1, "maxLength": MAX_KEY_NAME})
def check_name(name: str) -> None:
    try:
        check_key_name(name)
    except ValidationFailed as refused:
        raise ValidationError(list((refused.details or {})["name"])) from refused


@described({"minItems": 1, "maxItems": len(Scope), "uniqueItems": True})
def check_scopes(scopes: Sequence[str]) -> None:
    if not 1 <= len(scopes) == len(set(scopes)):
        raise ValidationError(f"Must be 1 to {len(Scope)} scopes, each once.")


_SCOPE: Final = validate.OneOf([scope.value for scope in Scope])


class NewApiKeySchema(RequestSchema):
    """The body of POST /merchants/api-keys."""

    name = fields.String(required=True, validate=check_name)
    scopes = fields.List(
        fields.String(validate=_SCOPE),
        validate=check_scopes,
        metadata={"description": "What it may do; everything if left out."},
    )
    expires_at = fields.String(
        data_key="expiresAt",
        validate=check_moment,
        metadata={"description": "When it ends by itself; never if left out."},
    )


class RotationSchema(RequestSchema):
    """The body of POST /merchants/api-keys/{id}/rotate."""

    overlap_seconds = fields.Integer(
        data_key="overlapSeconds",
        strict=True,
        load_default=0,
        validate=validate.Range(0, OVERLAP_SECONDS),
        metadata={"description": "How long the old key may still be used."},
    )


class ApiKeySchema(ResponseSchema):
    """An API key, on its way out."""

    id = fields.UUID()
    prefix = fields.String(metadata={"description": "Its first characters, to tell it by."})
    name = fields.String()
    scopes = fields.List(fields.String(validate=_SCOPE), attribute="listed_scopes")
    created_at = Timestamp(data_key="createdAt")
    expires_at = Timestamp(data_key="expiresAt", allow_none=True)
    last_used_at = Timestamp(
        data_key="lastUsedAt", allow_none=True, metadata={"description": "To about a minute."}
    )
    revoked_at = Timestamp(data_key="revokedAt", allow_none=True)
    active = fields.Boolean()


class IssuedKeySchema(ResponseSchema):
    """An API key at the only moment it is told."""

    id = fields.UUID(attribute="key.id")
    raw_key = fields.String(
        attribute="raw",
        data_key="rawKey",
        allow_none=True,
        validate=validate.Regexp(f"^{KEY_PREFIX}[0-9a-f]{{48}}$"),
        metadata={"description": "Told once; null in a repeat with the same Idempotency-Key."},
    )
    prefix = fields.String(attribute="key.prefix")
    name = fields.String(attribute="key.name")
    scopes = fields.List(fields.String(validate=_SCOPE), attribute="key.listed_scopes")
    expires_at = Timestamp(attribute="key.expires_at", data_key="expiresAt", allow_none=True)
    created_at = Timestamp(attribute="key.created_at", data_key="createdAt")
