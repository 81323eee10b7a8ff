"""Fields that say who made a request, and by which request."""

from marshmallow import fields

from atomic_web.schemas.enumerations import ACTOR_TYPE, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema


class ActorSchema(ResponseSchema):
    """Who made a request."""

    type = fields.String(attribute="actor", validate=OneOfEnumeration(ACTOR_TYPE))
    id = fields.UUID(
        attribute="actor_id",
        allow_none=True,
        metadata={
            "description": "The id of the API key or session; null for an operator, and for "
            "requests before ids were recorded."
        },
    )


def build_server_request_id(attribute: str) -> fields.UUID:
    return fields.UUID(
        attribute=attribute,
        data_key="serverRequestId",
        allow_none=True,
        metadata={
            "description": "The id that Atomic gave the request. Unlike the X-Request-Id, no "
            "client can choose it."
        },
    )
