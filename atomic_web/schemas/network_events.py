"""The request and response of a card network's event."""

from marshmallow import INCLUDE, Schema, fields, validate

from atomic_web.schemas.fields import ResponseSchema


class StripeEventSchema(Schema):
    """An event of Stripe, of which these fields are read."""

    class Meta:
        unknown = INCLUDE

    id = fields.String(required=True, validate=validate.Regexp("^[A-Za-z0-9_-]{1,255}$"))
    type = fields.String(required=True)
    data = fields.Dict()


class ReceivedEventSchema(ResponseSchema):
    received = fields.Boolean(validate=validate.Equal(comparable=True))
