"""Response bodies of the health endpoints."""

from marshmallow import fields, validate

from atomic_web.schemas.fields import ResponseSchema


class HealthSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("healthy"))


class LivenessSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("live"))


class ReadinessSchema(ResponseSchema):
    """`degraded` if an optional dependency is down."""

    status = fields.String(validate=validate.OneOf(["ready", "degraded"]))
    checks = fields.Dict(
        keys=fields.String(), values=fields.String(validate=validate.OneOf(["up", "down"]))
    )
