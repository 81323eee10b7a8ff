"""Fields and manners that all schemas share."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Final, NamedTuple, cast

from marshmallow import RAISE, Schema, ValidationError, fields, missing, validate

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.timestamps import format_rfc3339
from atomic_web.context import app_context
from atomic_web.http.ids import canonical_uuid
from atomic_web.schemas.descriptions import UUID, described

MAX_FAULTS: Final = 20
MAX_NAME: Final = 64
"""Faults are told under the caller's own field names: how many and how long, we decide."""

MAX_CURRENCIES_TOLD: Final = 10
"""A fault that lists more is no longer read; the OpenAPI document has them all."""


class RequestSchema(Schema):
    """A request body. Unknown fields are refused: a typo must not go unnoticed."""

    class Meta:
        unknown = RAISE

    def __init__(self) -> None:
        super().__init__()
        self._inputs = [
            (field.data_key or name, field.attribute or name, field)
            for name, field in self.load_fields.items()
        ]
        self._known = {key for key, _, _ in self._inputs}

    def read(self, content: dict[str, Any]) -> dict[str, Any]:
        """The validated values by attribute name. Raises ValidationFailed with all faults."""
        try:
            return self._each(content)
        except ValidationError as error:
            raise ValidationFailed(details=_details(error)) from error

    def _each(self, content: dict[str, Any]) -> dict[str, Any]:
        """What `load` gives, asking each field itself: half of `load` is bookkeeping for faults.
        At the first one it is asked, and tells them all. Raises ValidationError."""
        values: dict[str, Any] = {}
        if content.keys() <= self._known:
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


def _details(error: ValidationError) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for name, faults in _flat(error.normalized_messages()):
        told[name[:MAX_NAME]] = [str(fault) for fault in faults]
        if len(told) == MAX_FAULTS:
            break
    return told


def _flat(faults: dict[Any, Any], before: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Faults within lists and members, by their place: `scopes.0`."""
    for name, told in faults.items():
        if isinstance(told, dict):
            yield from _flat(told, f"{before}{name}.")
        else:
            yield f"{before}{name}", told


@described(lambda settings: {"enum": sorted(settings.currencies)})
def check_currency(code: str) -> None:
    """By membership, not by pattern: `USD` and a line end is not USD."""
    currencies = app_context().settings.currencies
    if code not in currencies:
        few = len(currencies) <= MAX_CURRENCIES_TOLD
        listed = f"one of {', '.join(sorted(currencies))}"
        told = listed if few else "an ISO 4217 code of a currency that is accepted here"
        raise ValidationError(f"Must be {told}.")


@described(UUID)
def check_uuid(text: str) -> None:
    if canonical_uuid(text) is None:
        raise ValidationError("Must be a UUID in lower case with hyphens.")


CODE: Final = validate.Regexp("^[A-Z]{3}$")
"""A currency on its way out: what is configured today need not hold for what was made before."""


class Timestamp(fields.DateTime):
    """A moment on its way out: RFC 3339, UTC, exactly milliseconds."""

    # Declared as marshmallow declares it.
    SERIALIZATION_FUNCS: dict[str, Callable[[Any], str | float]] = {  # noqa: RUF012
        "milliseconds": format_rfc3339
    }
    DEFAULT_FORMAT = "milliseconds"


class _Output(NamedTuple):
    key: str
    get: Callable[[Any], Any]
    show: Callable[[Any], Any] | None


_SHOW: Final[dict[type[fields.Field[Any]], Callable[[Any], Any] | None]] = {
    fields.Boolean: None,
    fields.Dict: None,
    fields.Integer: None,
    fields.List: None,
    fields.Raw: None,
    fields.String: str,
    fields.UUID: str,
    Timestamp: format_rfc3339,
}
"""How a value of the core's becomes one of JSON's; None where it is one. What the core holds is
of the right type already: marshmallow's own conversions look again."""


def _shown(field: fields.Field[Any]) -> Callable[[Any], Any] | None:
    if isinstance(field, fields.Nested):
        return field.schema.dump
    if isinstance(field, fields.List) and isinstance(field.inner, fields.Nested):
        dump = field.inner.schema.dump
        return lambda values: [each if isinstance(each, dict) else dump(each) for each in values]
    return _SHOW[type(field)]


class ResponseSchema(Schema):
    """A domain object on its way out. Its fields are read once, when it is made: an answer then
    costs a look at each attribute and nothing else."""

    optional: ClassVar[frozenset[str]] = frozenset()
    """Names, as they are shown, of what is not always there."""

    def __init__(self, *, many: bool = False) -> None:
        super().__init__(many=many)
        self._outputs: Sequence[_Output] = [
            _Output(
                field.data_key or name,
                attrgetter(field.attribute or name),
                _shown(field),
            )
            for name, field in self.dump_fields.items()
        ]

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The same as any Schema's."""
        if self.many if many is None else many:
            return [self.dump(each, many=False) for each in obj]
        shown: dict[str, Any] = {}
        for key, get, show in self._outputs:
            value = get(obj)
            shown[key] = value if show is None or value is None else show(value)
        return shown
