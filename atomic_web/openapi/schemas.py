"""From marshmallow's schemas to JSON Schema, and the envelope around every answer."""

from collections.abc import Callable
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields, validate

from atomic_adapters.settings import Settings
from atomic_web.errors import STATUS
from atomic_web.http.request_id import ACCEPTABLE
from atomic_web.openapi.examples import META
from atomic_web.openapi.operation import Success
from atomic_web.schemas.descriptions import MOMENT, STORABLE, UUID, description_of
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, Timestamp

JsonObject = dict[str, Any]

_META: Final[JsonObject] = {
    "type": "object",
    "required": ["timestamp", "requestId"],
    "properties": {
        "timestamp": dict(MOMENT),
        "requestId": {
            "type": "string",
            "pattern": f"^{ACCEPTABLE.pattern}$",
            "description": "That of the request which was answered first, where this is a repeat.",
        },
    },
    "examples": [META],
}

_ERROR: Final[JsonObject] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"enum": sorted(STATUS), "description": "Stable; decide by it."},
        "message": {"type": "string", "minLength": 1, "description": "For people; may change."},
        "details": {
            "type": "object",
            "description": "Faults, by the name of the field they were found in.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}

_REFUSAL: Final[JsonObject] = {
    "type": "object",
    "required": ["success", "error", "meta"],
    "properties": {
        "success": {"const": False},
        "error": {"$ref": "#/components/schemas/Error"},
        "meta": {"$ref": "#/components/schemas/Meta"},
    },
}

ENVELOPE: Final = {"Meta": _META, "Error": _ERROR, "Refusal": _REFUSAL}


def enveloped(answer: Success) -> JsonObject | None:
    """The body of a success, as a Media Type Object."""
    if answer.data is None:
        return None
    data: Any = answer.data
    examples = {name: answer.data.dump(value) for name, value in answer.examples.items()}
    if answer.under:
        data = {"type": "object", "required": [answer.under], "properties": {answer.under: data}}
        examples = {name: {answer.under: shown} for name, shown in examples.items()}
    return {
        "schema": {
            "type": "object",
            "required": ["success", "data", "meta"],
            "properties": {
                "success": {"const": True},
                "data": data,
                "meta": {"$ref": "#/components/schemas/Meta"},
            },
        },
        "examples": {
            name: {"value": {"success": True, "data": shown, "meta": META}}
            for name, shown in examples.items()
        },
    }


class _Converter(OpenAPIConverter):
    def schema2jsonschema(self, schema: Any) -> JsonObject:
        told = super().schema2jsonschema(schema)
        if isinstance(schema, ResponseSchema):
            # Every field is always told, but for those that say so; a later version may tell more.
            told["required"] = [name for name in told["properties"] if name not in schema.optional]
            del told["additionalProperties"]
        return told


class Plugin(MarshmallowPlugin):
    Converter = _Converter

    def __init__(self, settings: Settings) -> None:
        super().__init__(schema_name_resolver=_name)
        self._settings = settings

    def init_spec(self, spec: APISpec) -> None:
        super().init_spec(spec)
        if self.converter is not None:
            self.converter.add_attribute_function(_telling(self._settings))


def _name(schema: Any) -> str:
    cls = type(schema) if isinstance(schema, Schema) else schema
    return cls.__name__.removesuffix("Schema")


def _telling(settings: Settings) -> Callable[..., JsonObject]:
    def tell_rules(_converter: Any, field: Any, ret: JsonObject, **_others: Any) -> JsonObject:
        """What apispec cannot see: rules of our own."""
        told: JsonObject = {}
        for validator in field.validators:
            said = description_of(validator, settings)
            if said is None and not isinstance(validator, validate.Validator):
                raise LookupError(f"{validator.__name__} does not say what it asks for")
            told |= said or {}
        if isinstance(field, fields.UUID):
            told |= UUID
        if isinstance(field, Timestamp):
            told |= MOMENT
        if field.allow_none and told.get("type") == "string":
            told["type"] = ["string", "null"]
        own = told.keys() & {"pattern", "enum"}
        if isinstance(field, fields.String) and isinstance(field.root, RequestSchema) and not own:
            told |= STORABLE
        if ret.get("default", ...) is None:
            del ret["default"]  # left out, not null
        return told

    return tell_rules
