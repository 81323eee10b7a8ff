"""What a validator asks for, in the words of JSON Schema: said where it is checked, read by
atomic_web/openapi. marshmallow's own validators need none of this; apispec knows them."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from atomic_adapters.settings import Settings

JsonSchema = Mapping[str, Any]
Validator = Callable[[Any], None]
Told = Callable[[Settings], JsonSchema]

V = TypeVar("V", bound=Validator)

UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
UUID: Final[JsonSchema] = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
"""One id, one spelling (see ids.py)."""

MOMENT: Final[JsonSchema] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}

STORABLE: Final[JsonSchema] = {"pattern": r"^[^\x00]*$"}
"""All text that comes in (see body.py). Lone surrogates are no text to JSON Schema either."""

_described: dict[Callable[..., Any], Told] = {}


def described(told: JsonSchema | Told) -> Callable[[V], V]:
    """Say what the validator asks for; by the settings, if it depends on them."""

    tell: Told = told if callable(told) else lambda _settings: told

    def mark(validator: V) -> V:
        _described[validator] = tell
        return validator

    return mark


def description_of(validator: Callable[..., Any], settings: Settings) -> JsonSchema | None:
    """None if it was never described."""
    told = _described.get(validator)
    return None if told is None else told(settings)
