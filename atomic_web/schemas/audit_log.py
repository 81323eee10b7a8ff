"""The audit log on the wire."""

from marshmallow import fields, validate

from atomic_core.domain.audit_log import ActorType, Event
from atomic_core.domain.lists import MAX_LIMIT
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.lists import PageSchema


class AuditEntrySchema(ResponseSchema):
    """A use of authority, on its way out."""

    id = fields.UUID()
    event = fields.String(validate=validate.OneOf([event.value for event in Event]))
    actor = fields.String(validate=validate.OneOf([kind.value for kind in ActorType]))
    actor_id = fields.UUID(
        data_key="actorId", allow_none=True, metadata={"description": "Of the session."}
    )
    address = fields.String(
        allow_none=True, metadata={"description": "The client's; null where there is none."}
    )
    request_id = fields.String(data_key="requestId", allow_none=True)
    details = fields.Dict(keys=fields.String(), values=fields.String())
    at = Timestamp()


class AuditPageSchema(PageSchema):
    """A page of the log, newest first."""

    items = fields.List(fields.Nested(AuditEntrySchema()), validate=validate.Length(0, MAX_LIMIT))
