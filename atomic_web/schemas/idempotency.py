"""Idempotency-Keys on the wire."""

from marshmallow import fields, validate

from atomic_web.schemas.batches import check_key
from atomic_web.schemas.fields import ResponseSchema, Timestamp


class AnsweredSchema(ResponseSchema):
    """What a request was answered."""

    status = fields.Integer(validate=validate.Range(200, 299))
    body = fields.Raw(metadata={"description": "The whole body, envelope included."})


class ResourceSchema(ResponseSchema):
    """What came of a request."""

    type = fields.String(metadata={"description": "Such as `payments`."})
    id = fields.UUID()
    path = fields.String()


class KeptKeySchema(ResponseSchema):
    """What became of an Idempotency-Key, on its way out."""

    key = fields.String(validate=check_key)
    method = fields.String(metadata={"description": "Of the request it was first used with."})
    path = fields.String()
    fingerprint = fields.String(
        validate=validate.Regexp("^[0-9a-f]{64}$"),
        metadata={
            "description": "SHA-256 of `METHOD PATH`, a line end, and the body as JSON with sorted"
            " names and no spaces, beyond ASCII escaped."
        },
    )
    status = fields.String(
        validate=validate.Equal("completed"),
        metadata={"description": "A key is kept in the commit of its effect, or not at all."},
    )
    response = fields.Nested(AnsweredSchema())
    resources = fields.List(
        fields.Nested(ResourceSchema()),
        metadata={"description": "All that came of it: of a batch, every payment."},
    )
    created_at = Timestamp(data_key="createdAt")
    expires_at = Timestamp(
        data_key="expiresAt", metadata={"description": "From then on the key is new again."}
    )
