"""Response bodies of Idempotency-Key look-ups."""

from marshmallow import fields, validate

from atomic_web.schemas.batches import check_key
from atomic_web.schemas.fields import ResponseSchema, Timestamp


class StoredResponseSchema(ResponseSchema):
    """The response to the first request."""

    status = fields.Integer(validate=validate.Range(200, 299))
    body = fields.Raw(metadata={"description": "The complete body, including the envelope."})


class ResourceSchema(ResponseSchema):
    """A resource that the request created or changed."""

    type = fields.String(metadata={"description": "For example `payments`."})
    id = fields.UUID()
    path = fields.String()


class IdempotencyKeySchema(ResponseSchema):
    """An Idempotency-Key with its request and response."""

    key = fields.String(validate=check_key)
    method = fields.String(metadata={"description": "The method of the first request."})
    path = fields.String()
    fingerprint = fields.String(
        validate=validate.Regexp("^[0-9a-f]{64}$"),
        metadata={
            "description": "SHA-256 of `METHOD PATH`, a line feed, and the body as JSON with sorted"
            " member names, without white space, and with non-ASCII characters escaped."
        },
    )
    status = fields.String(
        validate=validate.Equal("completed"),
        metadata={"description": "Always `completed`: key and effect are stored in one commit."},
    )
    response = fields.Nested(StoredResponseSchema())
    resources = fields.List(
        fields.Nested(ResourceSchema()),
        metadata={"description": "The resources of the request; for a batch, every payment."},
    )
    created_at = Timestamp(data_key="createdAt")
    expires_at = Timestamp(
        data_key="expiresAt",
        metadata={"description": "When the key can be used for a new request."},
    )
