"""Converts marshmallow schemas to JSON Schema, and describes the envelope of every body."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields, validate

from atomic_adapters.settings import Settings
from atomic_web.http.request_id import REQUEST_ID_PATTERN
from atomic_web.openapi.examples import META
from atomic_web.schemas.descriptions import (
    TEXT_SCHEMA,
    TIMESTAMP_SCHEMA,
    UUID_SCHEMA,
    get_json_schema,
)
from atomic_web.schemas.enumerations import ERROR_CODE, ERROR_TYPE, OneOfEnumeration
from atomic_web.schemas.fields import OneOfSchemas, RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.filters import METADATA_FILTER_SCHEMA
from atomic_web.schemas.metadata import METADATA_SCHEMA

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

_MESSAGES: Final[JsonObject] = {"type": "array", "items": {"type": "string"}}


def _build_error(details: str) -> JsonObject:
    """`details` is the name of the component of the details."""
    return {
        "type": "object",
        "required": ["code", "type", "message", "retryable", "docUrl"],
        "properties": {
            "code": ERROR_CODE.reference,
            "type": ERROR_TYPE.reference,
            "message": {
                "type": "string",
                "minLength": 1,
                "description": "For people. It says what to change. May change.",
            },
            "param": {
                "type": "string",
                "description": "The field, parameter or header to change; the first of several.",
            },
            "retryable": {
                "type": "boolean",
                "description": "Whether the same request, with the same Idempotency-Key, can"
                " succeed later.",
            },
            "docUrl": {
                "type": "string",
                "format": "uri-reference",
                "description": "The page of this code.",
            },
            "details": {"$ref": f"#/components/schemas/{details}"},
        },
    }


def _build_amount(description: str) -> JsonObject:
    return {"type": "integer", "minimum": 0, "description": description}


def _build_id(description: str) -> JsonObject:
    return {"type": "string", "format": "uuid", "description": description}


_ERROR_DETAILS: Final[JsonObject] = {
    "type": "object",
    "description": "Error messages by field, and values that the code explains.",
    "properties": {
        "held": _build_amount("`amount_exceeds_held`: the most that can be captured."),
        "remaining": _build_amount("`refund_exceeds_remaining`: the most that can be refunded."),
        "captured": _build_amount("`refund_exceeds_remaining`: what was captured."),
        "disputed": _build_amount("`refund_exceeds_remaining`: what is disputed, and not won."),
        "maximum": _build_amount("How many there can be, if there are too many."),
        "minimum": _build_amount("`events_purged`: the least that `after` can be."),
        "usedBy": _build_id("`external_id_taken`: the ledger transaction or account that has it."),
        "creditedAccountId": _build_id("`account_frozen`, `account_closed`: the account."),
        "reversedById": _build_id("`transaction_already_reversed`: the reversal."),
        "closedThrough": {
            "type": "string",
            "format": "date",
            "description": "`period_closed`: the last closed day (UTC).",
        },
    },
    "additionalProperties": _MESSAGES,
}

_RATE_LIMIT_DETAILS: Final[JsonObject] = {
    "type": "object",
    "required": ["limit"],
    "properties": {"limit": {"$ref": "#/components/schemas/ExceededLimit"}},
}

_EXCEEDED_LIMIT: Final[JsonObject] = {
    "type": "object",
    "description": "The limit that was exceeded; of several, the one whose window ends last.",
    "required": ["name", "quota", "windowSeconds", "reset"],
    "properties": {
        "name": {"type": "string", "description": "As in the header RateLimit-Policy."},
        "quota": _build_amount("Requests per window."),
        "windowSeconds": _build_amount("The length of the window."),
        "reset": _build_amount("Seconds until the window ends."),
        "setting": {
            "type": "string",
            "description": "The environment variable that sets it; not in production.",
        },
    },
}


def _build_error_response(error: str) -> JsonObject:
    return {
        "type": "object",
        "description": "The body of an error.",
        "required": ["success", "error", "meta"],
        "properties": {
            "success": {"type": "boolean", "const": False},
            "error": {"$ref": f"#/components/schemas/{error}"},
            "meta": {"$ref": "#/components/schemas/Meta"},
        },
    }


_OPENAPI_DOCUMENT: Final[JsonObject] = {
    "type": "object",
    "description": "An OpenAPI document.",
    "required": ["openapi"],
    "properties": {"openapi": {"type": "string", "pattern": r"^3\.1\.[0-9]+$"}},
    "additionalProperties": True,
}

OWN_SCHEMAS: Final = {
    "Meta": _META,
    "Error": _build_error("ErrorDetails"),
    "ErrorDetails": _ERROR_DETAILS,
    "ErrorResponse": _build_error_response("Error"),
    "RateLimitedError": _build_error("RateLimitDetails"),
    "RateLimitDetails": _RATE_LIMIT_DETAILS,
    "ExceededLimit": _EXCEEDED_LIMIT,
    "RateLimitedResponse": _build_error_response("RateLimitedError"),
    "OpenApiDocument": _OPENAPI_DOCUMENT,
    "Metadata": dict(METADATA_SCHEMA),
    "MetadataFilter": dict(METADATA_FILTER_SCHEMA),
}
"""Components that are made of no marshmallow schema."""


def get_envelope_name(data: Schema) -> str:
    """The component of the envelope around this data."""
    return f"{_get_component_name(data)}{'List' if data.many else ''}Response"


def build_envelope(data: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "required": ["success", "data", "meta"],
        "properties": {
            "success": {"type": "boolean", "const": True},
            "data": data,
            "meta": {"$ref": "#/components/schemas/Meta"},
        },
    }


def build_success_content(data: Schema, examples: Mapping[str, Any]) -> JsonObject:
    """The Media Type Object of a body in an envelope."""
    return {
        "schema": {"$ref": f"#/components/schemas/{get_envelope_name(data)}"},
        "examples": {
            name: {"value": {"success": True, "data": data.dump(value), "meta": META}}
            for name, value in examples.items()
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

    def refer_to(self, schema: Schema) -> JsonObject:
        """A reference to the schema's component, which is added to the document if necessary."""
        if self.converter is None:
            raise LookupError("The plugin belongs to no document.")
        return self.converter.resolve_nested_schema(schema)


def _get_component_name(schema: Any) -> str:
    cls = type(schema) if isinstance(schema, Schema) else schema
    return cls.__name__.removesuffix("Schema")


def _build_attribute_function(settings: Settings) -> Callable[..., JsonObject]:
    def add_own_rules(converter: Any, field: Any, ret: JsonObject, **_others: Any) -> JsonObject:
        """Add the rules of our own validators and fields, which apispec does not know."""
        rules = _collect_validator_rules(field, settings)
        if isinstance(field, fields.UUID):
            rules |= UUID_SCHEMA
        if isinstance(field, Timestamp):
            rules |= TIMESTAMP_SCHEMA
        if isinstance(field, OneOfSchemas):
            rules["oneOf"] = [converter.resolve_nested_schema(schema) for schema in field.schemas]
        if field.allow_none and rules.get("type") == "string":
            rules["type"] = ["string", "null"]
        is_restricted = bool(rules.keys() & {"pattern", "enum", "$ref"})
        is_request_text = isinstance(field, fields.String) and isinstance(field.root, RequestSchema)
        if is_request_text and not is_restricted:
            rules |= TEXT_SCHEMA
        if "$ref" in rules:
            _replace_by_reference(ret, rules, is_nullable=field.allow_none)
        if len(ret.get("enum", ())) == 1:
            [ret["const"]] = ret.pop("enum")  # not an enumeration with a name of its own
        # Some generators make a member with a default required. The text says it instead.
        default = ret.pop("default", None)
        if default is not None:
            rules["description"] = f"{ret.get('description', '')} Default: `{default}`.".strip()
        return rules

    return add_own_rules


def _collect_validator_rules(field: Any, settings: Settings) -> JsonObject:
    """Raises LookupError for a validator of our own that declares no JSON Schema."""
    rules: JsonObject = {}
    for validator in field.validators:
        if isinstance(validator, OneOfEnumeration):
            rules |= validator.enumeration.reference
            continue
        json_schema = get_json_schema(validator, settings)
        if json_schema is None and not isinstance(validator, validate.Validator):
            raise LookupError(f"{validator.__name__} declares no JSON Schema")
        rules |= json_schema or {}
    return rules


def _replace_by_reference(ret: JsonObject, rules: JsonObject, *, is_nullable: bool) -> None:
    """The component has all but the description."""
    for name in ret.keys() - {"description", "default"}:
        del ret[name]
    if is_nullable:
        rules["anyOf"] = [{"$ref": rules.pop("$ref")}, {"type": "null"}]
