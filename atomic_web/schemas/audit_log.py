"""Response bodies of the audit log."""

from marshmallow import fields, validate

from atomic_core.domain.lists import MAX_LIMIT
from atomic_web.schemas.enumerations import ACTOR_TYPE, AUDIT_EVENT_TYPE, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema
from atomic_web.schemas.origins import build_server_request_id


class AuditEntrySchema(ResponseSchema):
    """One event of the audit log."""

    id = fields.UUID()
    event = fields.String(attribute="type", validate=OneOfEnumeration(AUDIT_EVENT_TYPE))
    actor = fields.String(validate=OneOfEnumeration(ACTOR_TYPE))
    actor_id = fields.UUID(
        data_key="actorId",
        allow_none=True,
        metadata={"description": "The id of the session or API key."},
    )
    address = fields.String(
        allow_none=True, metadata={"description": "The client's IP address; null if it has none."}
    )
    request_id = fields.String(
        data_key="requestId",
        allow_none=True,
        metadata={"description": "The X-Request-Id of the request."},
    )
    server_request_id = build_server_request_id("server_request_id")
    details = fields.Dict(keys=fields.String(), values=fields.String())
    at = Timestamp()


class AuditPageSchema(PageSchema):
    """A page of the audit log, newest first."""

    items = fields.List(fields.Nested(AuditEntrySchema()), validate=validate.Length(0, MAX_LIMIT))
