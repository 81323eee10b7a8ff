"""How this service is, on the wire (api.md)."""

from marshmallow import fields, validate

from atomic_web.schemas.fields import ResponseSchema


class HealthySchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("healthy"))


class LiveSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("live"))


class ReadySchema(ResponseSchema):
    """`degraded` if something is down that this service can do without."""

    status = fields.String(validate=validate.OneOf(["ready", "degraded"]))
    checks = fields.Dict(
        keys=fields.String(), values=fields.String(validate=validate.OneOf(["up", "down"]))
    )
