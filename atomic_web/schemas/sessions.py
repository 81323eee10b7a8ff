"""Response bodies of sessions."""

from marshmallow import fields, validate

from atomic_web.schemas.fields import ResponseSchema, Timestamp


class SessionSchema(ResponseSchema):
    """A session, without its token."""

    id = fields.UUID(attribute="session.id")
    address = fields.String(
        attribute="session.address",
        allow_none=True,
        metadata={"description": "The client's IP address at the login; null if it has none."},
    )
    current = fields.Boolean(
        attribute="is_current", metadata={"description": "Whether it made this request."}
    )
    created_at = Timestamp(attribute="session.created_at", data_key="createdAt")
    expires_at = Timestamp(attribute="session.expires_at", data_key="expiresAt")


class EndedSessionSchema(ResponseSchema):
    revoked = fields.Boolean(validate=validate.Equal(comparable=True))


class EndedSessionsSchema(ResponseSchema):
    """How many sessions ended."""

    revoked_count = fields.Integer(data_key="revokedCount", validate=validate.Range(0))
