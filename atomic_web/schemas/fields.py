"""The base classes of all schemas, and fields and validators that they share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Final, NamedTuple, cast

from marshmallow import RAISE, Schema, ValidationError, fields, missing

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.timestamps import format_rfc3339
from atomic_web.context import request_context
from atomic_web.http.ids import INVALID_UUID, parse_canonical_uuid
from atomic_web.http.query import MAX_REPORTED_ERRORS, MAX_REPORTED_NAME
from atomic_web.schemas.descriptions import UUID_SCHEMA, describe_validator
from atomic_web.schemas.enumerations import build_enabled_currency

MAX_LISTED_CURRENCIES: Final = 10
"""An error message that lists more is too long to read; the OpenAPI document lists them all."""

INVALID_LENGTH: Final = "Must have {min} to {max} characters."
"""For validate.Length."""

INVALID_AMOUNT: Final = f"amount must be an integer number of minor units from 1 to {MAX_AMOUNT}."


class RequestSchema(Schema):
    """A request body. Unknown fields are refused, so that a typo does not pass unnoticed."""

    class Meta:
        unknown = RAISE

    def __init__(self) -> None:
        super().__init__()
        self._inputs = [
            (field.data_key or name, field.attribute or name, field)
            for name, field in self.load_fields.items()
        ]
        self._input_keys = {key for key, _, _ in self._inputs}
        self.error_messages["unknown"] = describe_unknown_field(self._input_keys)
        for _, _, field in self._inputs:
            _replace_default_messages(field)

    def parse(self, content: dict[str, Any]) -> dict[str, Any]:
        """The validated values by attribute name. Raises ValidationFailed with all errors."""
        try:
            return self._load_fast(content)
        except ValidationError as error:
            raise ValidationFailed(details=_build_details(error)) from error

    def _load_fast(self, content: dict[str, Any]) -> dict[str, Any]:
        """Like `load`, half of whose time is bookkeeping for errors: call each field directly, and
        fall back to `load` at the first error to collect them all. Raises ValidationError."""
        values: dict[str, Any] = {}
        if content.keys() <= self._input_keys:
            try:
                for key, attribute, field in self._inputs:
                    value = field.deserialize(content.get(key, missing), key, content)
                    if value is not missing:
                        values[attribute] = value
            except ValidationError:
                pass
            else:
                return values
        return cast("dict[str, Any]", self.load(content))


def describe_unknown_field(known_names: Iterable[str]) -> str:
    return f"Unknown field. Known fields: {', '.join(sorted(known_names))}."


def _replace_default_messages(field: fields.Field[Any]) -> None:
    """Replace marshmallow's messages, but not those that the field was given."""
    messages = {"required": "This field is required.", "null": "Must not be null."}
    if not field.required:
        messages["null"] += " Leave the field out instead."
    messages |= next(
        (texts for kind, texts in _TYPE_MESSAGES.items() if isinstance(field, kind)), {}
    )
    defaults: dict[str, str] = {}
    for cls in reversed(type(field).__mro__):
        defaults |= getattr(cls, "default_error_messages", {})
    for key, message in messages.items():
        if field.error_messages[key] == defaults[key]:
            field.error_messages[key] = message
    if isinstance(field, fields.List):
        _replace_default_messages(field.inner)


_TYPE_MESSAGES: Final[dict[type[fields.Field[Any]], dict[str, str]]] = {
    fields.Boolean: {"invalid": "Must be true or false."},
    fields.Integer: {"invalid": "Must be an integer."},
    fields.List: {"invalid": "Must be a list."},
    fields.String: {"invalid": "Must be a string."},
}


def _build_details(error: ValidationError) -> dict[str, list[str]]:
    details: dict[str, list[str]] = {}
    for name, messages in _flatten(error.normalized_messages()):
        details[name[:MAX_REPORTED_NAME]] = [str(message) for message in messages]
        if len(details) == MAX_REPORTED_ERRORS:
            break
    return details


def _flatten(messages: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Errors in lists and members by their path, such as `scopes.0`."""
    for name, nested in messages.items():
        if isinstance(nested, dict):
            yield from _flatten(nested, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", nested


@describe_validator(lambda settings: build_enabled_currency(settings.currencies).reference)
def check_currency(code: str) -> None:
    """By membership, not by a pattern, whose `$` would accept a trailing line end."""
    currencies = request_context().settings.currencies
    if code in currencies:
        return
    if code.upper() in currencies:
        raise ValidationError(f"Must be in capital letters: {code.upper()}.")
    if len(currencies) <= MAX_LISTED_CURRENCIES:
        raise ValidationError(f"Must be one of {', '.join(sorted(currencies))}.")
    raise ValidationError("Must be the ISO 4217 code of an enabled currency.")


@describe_validator(UUID_SCHEMA)
def check_uuid(text: str) -> None:
    if parse_canonical_uuid(text) is None:
        raise ValidationError(INVALID_UUID)


class Timestamp(fields.DateTime):
    """A time in a response: RFC 3339 in UTC, with exactly three decimals."""

    # Declared as marshmallow declares it.
    SERIALIZATION_FUNCS: dict[str, Callable[[Any], str | float]] = {  # noqa: RUF012
        "milliseconds": format_rfc3339
    }
    DEFAULT_FORMAT = "milliseconds"


class StrictBoolean(fields.Boolean):
    """true or false in a request, and nothing that resembles them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **keywords: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **keywords)


class OneOfSchemas(fields.Field[Any]):
    """An object in a response that is a JSON value already and matches one of some schemas, which
    the OpenAPI document describes. Their required members tell them apart."""

    def __init__(self, *schemas: "ResponseSchema", **keywords: Any) -> None:
        super().__init__(**keywords)
        self.schemas = schemas


class _Output(NamedTuple):
    key: str
    get_value: Callable[[Any], Any]
    serialize: Callable[[Any], Any] | None


_SERIALIZERS: Final[dict[type[fields.Field[Any]], Callable[[Any], Any] | None]] = {
    fields.Boolean: None,
    fields.Dict: None,
    fields.Integer: None,
    fields.List: None,
    fields.Raw: None,
    fields.String: str,
    fields.UUID: str,
    OneOfSchemas: None,
    Timestamp: format_rfc3339,
}
"""How a domain value becomes a JSON value; None if it is one already. Domain values have the right
type, so marshmallow's conversions, which check it again, are skipped."""


def _get_serializer(field: fields.Field[Any]) -> Callable[[Any], Any] | None:
    if isinstance(field, fields.Nested):
        return field.schema.dump
    if isinstance(field, fields.List) and isinstance(field.inner, fields.Nested):
        dump = field.inner.schema.dump
        return lambda items: [item if isinstance(item, dict) else dump(item) for item in items]
    return _SERIALIZERS[type(field)]


class ResponseSchema(Schema):
    """A response body. Its fields are read once, at construction, so that serializing an object
    costs one attribute look-up per field."""

    optional: ClassVar[frozenset[str]] = frozenset()
    """Keys that may be absent from the response."""

    def __init__(self, *, many: bool = False) -> None:
        super().__init__(many=many)
        self._outputs: Sequence[_Output] = [
            _Output(
                field.data_key or name,
                attrgetter(field.attribute or name),
                _get_serializer(field),
            )
            for name, field in self.dump_fields.items()
        ]

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """As in marshmallow's Schema."""
        if self.many if many is None else many:
            return [self.dump(item, many=False) for item in obj]
        data: dict[str, Any] = {}
        for key, get_value, serialize in self._outputs:
            value = get_value(obj)
            data[key] = value if serialize is None or value is None else serialize(value)
        return data
