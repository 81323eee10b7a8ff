"""Response bodies of the audit log."""

from marshmallow import fields, validate

from atomic_core.domain.audit_log import ActorType, AuditEventType
from atomic_core.domain.lists import MAX_LIMIT
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema


class AuditEntrySchema(ResponseSchema):
    """One event of the audit log."""

    id = fields.UUID()
    event = fields.String(
        attribute="type", validate=validate.OneOf([event.value for event in AuditEventType])
    )
    actor = fields.String(validate=validate.OneOf([type.value for type in ActorType]))
    actor_id = fields.UUID(
        data_key="actorId", allow_none=True, metadata={"description": "The id of the session."}
    )
    address = fields.String(
        allow_none=True, metadata={"description": "The client's IP address; null if it has none."}
    )
    request_id = fields.String(data_key="requestId", allow_none=True)
    details = fields.Dict(keys=fields.String(), values=fields.String())
    at = Timestamp()


class AuditPageSchema(PageSchema):
    """A page of the audit log, newest first."""

    items = fields.List(fields.Nested(AuditEntrySchema()), validate=validate.Length(0, MAX_LIMIT))
