"""JSON Schema of the validators. Each validator of our own declares its rule beside its code, and
atomic_web/openapi reads it. marshmallow's own validators need none: apispec knows them."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from atomic_adapters.settings import Settings

JsonSchema = Mapping[str, Any]
Validator = Callable[[Any], None]
JsonSchemaFactory = Callable[[Settings], JsonSchema]

V = TypeVar("V", bound=Validator)

UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
UUID_SCHEMA: Final[JsonSchema] = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
"""The canonical form only (see http/ids.py)."""

TIMESTAMP_SCHEMA: Final[JsonSchema] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}

TEXT_SCHEMA: Final[JsonSchema] = {"pattern": r"^[^\x00]*$"}
"""Any text in a request (see http/body.py). JSON Schema excludes lone surrogates already."""

_schema_factories: dict[Callable[..., Any], JsonSchemaFactory] = {}


def describe_validator(schema: JsonSchema | JsonSchemaFactory) -> Callable[[V], V]:
    """Declare the JSON Schema of a validator, or a function of the settings that builds it."""
    factory: JsonSchemaFactory = schema if callable(schema) else lambda _settings: schema

    def register(validator: V) -> V:
        _schema_factories[validator] = factory
        return validator

    return register


def get_json_schema(validator: Callable[..., Any], settings: Settings) -> JsonSchema | None:
    """None if the validator declares none."""
    factory = _schema_factories.get(validator)
    return None if factory is None else factory(settings)
