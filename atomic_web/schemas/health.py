"""Response bodies of the health endpoints."""

from marshmallow import fields, validate

from atomic_web.schemas.enumerations import DEPENDENCY_STATUS, READINESS_STATUS, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema


class HealthSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("healthy"))


class LivenessSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("live"))


class ReadinessSchema(ResponseSchema):
    """Whether the API is ready to serve, and each dependency."""

    status = fields.String(validate=OneOfEnumeration(READINESS_STATUS))
    checks = fields.Dict(
        keys=fields.String(), values=fields.String(validate=OneOfEnumeration(DEPENDENCY_STATUS))
    )
