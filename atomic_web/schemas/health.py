"""Response bodies of the health endpoints."""

from marshmallow import fields, validate

from atomic_web.schemas.enumerations import DEPENDENCY_STATUS, READINESS_STATUS, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema


class HealthSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("healthy"))


class LivenessSchema(ResponseSchema):
    status = fields.String(validate=validate.Equal("live"))


class BacklogSchema(ResponseSchema):
    """Payments and refunds that are due and that no worker or sweeper has claimed."""

    due = fields.Integer(
        validate=validate.Range(0),
        metadata={"description": "Counted up to 1,000 payments and as many refunds per network."},
    )
    oldest_age_seconds = fields.Integer(
        data_key="oldestAgeSeconds",
        validate=validate.Range(0),
        metadata={"description": "How long the oldest of them could have been claimed."},
    )


class ReadinessSchema(ResponseSchema):
    """Whether the API is ready to serve, each dependency, and work that waits for too long."""

    status = fields.String(validate=OneOfEnumeration(READINESS_STATUS))
    checks = fields.Dict(
        keys=fields.String(), values=fields.String(validate=OneOfEnumeration(DEPENDENCY_STATUS))
    )
    backlog = fields.Nested(
        BacklogSchema(),
        allow_none=True,
        metadata={"description": "Only if the oldest has waited for 15 s or more; null otherwise."},
    )
