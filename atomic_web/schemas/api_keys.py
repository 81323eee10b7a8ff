"""Request and response bodies of API keys."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import (
    KEY_PREFIX,
    MAX_KEY_NAME_LENGTH,
    MAX_OVERLAP,
    Scope,
    check_key_name,
)
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.enumerations import SCOPE, OneOfEnumeration
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, Timestamp

OVERLAP_SECONDS: Final = int(MAX_OVERLAP.total_seconds())

_UTC_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z"
)
_INVALID_TIME: Final = "Must be an RFC 3339 time in UTC, such as 2027-01-31T12:00:00Z."


def parse_utc_time(text: str) -> datetime:
    """RFC 3339 in UTC, with at most microseconds. Raises ValueError."""
    if not _UTC_TIME.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text).astimezone(UTC)


@describe_validator({"format": "date-time", "pattern": f"^{_UTC_TIME.pattern}$"})
def check_utc_time(text: str) -> None:
    try:
        parse_utc_time(text)
    except ValueError as error:
        raise ValidationError(_INVALID_TIME) from error


@describe_validator({"minLength": 1, "maxLength": MAX_KEY_NAME_LENGTH})
def check_name(name: str) -> None:
    try:
        check_key_name(name)
    except ValidationFailed as error:
        raise ValidationError(list((error.details or {})["name"])) from error


@describe_validator({"minItems": 1, "maxItems": len(Scope), "uniqueItems": True})
def check_scopes(scopes: Sequence[str]) -> None:
    if not 1 <= len(scopes) == len(set(scopes)):
        raise ValidationError(f"Must be 1 to {len(Scope)} different scopes.")


_SCOPE: Final = OneOfEnumeration(SCOPE)


class NewApiKeySchema(RequestSchema):
    """The body of POST /merchants/api-keys."""

    name = fields.String(required=True, validate=check_name)
    scopes = fields.List(
        fields.String(validate=_SCOPE),
        validate=check_scopes,
        metadata={"description": "What the key permits. Default: all scopes."},
    )
    expires_at = fields.String(
        data_key="expiresAt",
        validate=check_utc_time,
        metadata={"description": "When the key expires. Default: never."},
    )


class ApiKeyRotationSchema(RequestSchema):
    """The body of POST /merchants/api-keys/{id}/rotate."""

    overlap_seconds = fields.Integer(
        data_key="overlapSeconds",
        strict=True,
        load_default=0,
        validate=validate.Range(0, OVERLAP_SECONDS),
        metadata={"description": "How long the old key remains valid."},
    )


class ApiKeySchema(ResponseSchema):
    """An API key, without its secret."""

    id = fields.UUID()
    prefix = fields.String(
        metadata={"description": "The first characters of the key, to recognize it by."}
    )
    name = fields.String()
    scopes = fields.List(fields.String(validate=_SCOPE), attribute="sorted_scopes")
    created_at = Timestamp(data_key="createdAt")
    expires_at = Timestamp(data_key="expiresAt", allow_none=True)
    last_used_at = Timestamp(
        data_key="lastUsedAt",
        allow_none=True,
        metadata={"description": "Accurate to about a minute."},
    )
    revoked_at = Timestamp(data_key="revokedAt", allow_none=True)
    active = fields.Boolean()


class IssuedApiKeySchema(ResponseSchema):
    """A new API key, in the only response that contains its secret."""

    id = fields.UUID(attribute="key.id")
    raw_key = fields.String(
        attribute="raw",
        data_key="rawKey",
        allow_none=True,
        validate=validate.Regexp(f"^{KEY_PREFIX}[0-9a-f]{{48}}$"),
        metadata={"description": "The secret. null in a replay with the same Idempotency-Key."},
    )
    prefix = fields.String(attribute="key.prefix")
    name = fields.String(attribute="key.name")
    scopes = fields.List(fields.String(validate=_SCOPE), attribute="key.sorted_scopes")
    expires_at = Timestamp(attribute="key.expires_at", data_key="expiresAt", allow_none=True)
    created_at = Timestamp(attribute="key.created_at", data_key="createdAt")
