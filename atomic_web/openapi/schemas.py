"""Converts marshmallow schemas to JSON Schema, and describes the envelope of every body."""

from collections.abc import Callable
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields, validate

from atomic_adapters.settings import Settings
from atomic_web.errors import STATUS
from atomic_web.http.request_id import REQUEST_ID_PATTERN
from atomic_web.openapi.examples import META
from atomic_web.openapi.operation import Success
from atomic_web.schemas.descriptions import (
    TEXT_SCHEMA,
    TIMESTAMP_SCHEMA,
    UUID_SCHEMA,
    get_json_schema,
)
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, Timestamp

JsonObject = dict[str, Any]

_META: Final[JsonObject] = {
    "type": "object",
    "required": ["timestamp", "requestId"],
    "properties": {
        "timestamp": dict(TIMESTAMP_SCHEMA),
        "requestId": {
            "type": "string",
            "pattern": f"^{REQUEST_ID_PATTERN.pattern}$",
            "description": "The id of the request; in a replay, that of the first request.",
        },
    },
    "examples": [META],
}

_ERROR: Final[JsonObject] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"enum": sorted(STATUS), "description": "Stable. Base decisions on it."},
        "message": {"type": "string", "minLength": 1, "description": "For people. May change."},
        "details": {
            "type": "object",
            "description": "Error messages by field.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}

_ERROR_ENVELOPE: Final[JsonObject] = {
    "type": "object",
    "required": ["success", "error", "meta"],
    "properties": {
        "success": {"const": False},
        "error": {"$ref": "#/components/schemas/Error"},
        "meta": {"$ref": "#/components/schemas/Meta"},
    },
}

ENVELOPE_SCHEMAS: Final = {"Meta": _META, "Error": _ERROR, "ErrorEnvelope": _ERROR_ENVELOPE}


def build_success_content(success: Success) -> JsonObject | None:
    """The Media Type Object of a body in an envelope; None if there is no envelope."""
    if success.data is None:
        return None
    data: Any = success.data
    examples = {name: success.data.dump(value) for name, value in success.examples.items()}
    if wrapper := success.wrapper:
        data = {"type": "object", "required": [wrapper], "properties": {wrapper: data}}
        examples = {name: {wrapper: example} for name, example in examples.items()}
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
            name: {"value": {"success": True, "data": example, "meta": META}}
            for name, example in examples.items()
        },
    }


class _Converter(OpenAPIConverter):
    def schema2jsonschema(self, schema: Any) -> JsonObject:
        json_schema = super().schema2jsonschema(schema)
        if isinstance(schema, ResponseSchema):
            # Fields are required unless declared optional. Later versions may add fields.
            json_schema["required"] = [
                name for name in json_schema["properties"] if name not in schema.optional
            ]
            del json_schema["additionalProperties"]
        return json_schema


class Plugin(MarshmallowPlugin):
    Converter = _Converter

    def __init__(self, settings: Settings) -> None:
        super().__init__(schema_name_resolver=_get_component_name)
        self._settings = settings

    def init_spec(self, spec: APISpec) -> None:
        super().init_spec(spec)
        if self.converter is not None:
            self.converter.add_attribute_function(_build_attribute_function(self._settings))


def _get_component_name(schema: Any) -> str:
    cls = type(schema) if isinstance(schema, Schema) else schema
    return cls.__name__.removesuffix("Schema")


def _build_attribute_function(settings: Settings) -> Callable[..., JsonObject]:
    def add_own_rules(_converter: Any, field: Any, ret: JsonObject, **_others: Any) -> JsonObject:
        """Add the rules of our own validators and fields, which apispec does not know."""
        rules: JsonObject = {}
        for validator in field.validators:
            json_schema = get_json_schema(validator, settings)
            if json_schema is None and not isinstance(validator, validate.Validator):
                raise LookupError(f"{validator.__name__} declares no JSON Schema")
            rules |= json_schema or {}
        if isinstance(field, fields.UUID):
            rules |= UUID_SCHEMA
        if isinstance(field, Timestamp):
            rules |= TIMESTAMP_SCHEMA
        if field.allow_none and rules.get("type") == "string":
            rules["type"] = ["string", "null"]
        is_restricted = bool(rules.keys() & {"pattern", "enum"})
        is_request_text = isinstance(field, fields.String) and isinstance(field.root, RequestSchema)
        if is_request_text and not is_restricted:
            rules |= TEXT_SCHEMA
        if ret.get("default", ...) is None:
            del ret["default"]  # None means an absent field, not null
        return rules

    return add_own_rules
