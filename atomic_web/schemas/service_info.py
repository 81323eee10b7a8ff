"""Response body of the index."""

from marshmallow import fields, validate

from atomic_web.context import BASE_PATH
from atomic_web.schemas.fields import ResponseSchema

_PATH = validate.Regexp(f"^{BASE_PATH}/[a-z./]+$")


class ServiceLinksSchema(ResponseSchema):
    """Paths on this host."""

    docs = fields.String(
        validate=_PATH, metadata={"description": "A reference of the API, as text."}
    )
    openapi = fields.String(validate=_PATH, metadata={"description": "The OpenAPI document."})
    health = fields.String(validate=_PATH, metadata={"description": "Whether the API answers."})


class ServiceInfoSchema(ResponseSchema):
    """What answers here, and where its documentation is."""

    name = fields.String()
    version = fields.String()
    links = fields.Nested(ServiceLinksSchema())
