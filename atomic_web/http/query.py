"""Query parameters: each endpoint declares its own, and everything else is refused."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flask import request

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import contains_secret

MAX_REPORTED_ERRORS: Final = 20
MAX_REPORTED_NAME: Final = 64
"""Errors are keyed by names that the caller chose, so their number and length are bounded."""

_PERCENT_ENCODED: Final = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*")


class InvalidParameter(ValueError):
    """The message tells the caller what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter, as `parse_query` parses it and the OpenAPI document describes it."""

    name: str
    attribute: str
    """The key of its value in the result of `parse_query`."""
    parse: Callable[[str], Any]
    """Raises InvalidParameter."""
    schema: Mapping[str, Any]
    description: str
    example: Any
    component: str = ""
    """Its name in the OpenAPI components, if it differs from `name`."""
    is_repeatable: bool = False
    """It may be given several times; its value is the set of all values."""
    separator: str = ""
    """If set, one value may hold several, and none may be given twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapParameter(Parameter):
    """A family of parameters, `NAME[KEY]=value` (deepObject in OpenAPI) or `NAME.KEY=value`. The
    key is everything between the brackets or after the first dot. The value is the sorted pairs;
    `parse` parses the value of one pair."""

    parse_key: Callable[[str], str]
    max_pairs: int

    def find_key(self, name: str) -> str | None:
        """The key, unchecked; None if the name is not of this family."""
        if name.startswith(f"{self.name}."):
            return name.removeprefix(f"{self.name}.")
        if name.startswith(f"{self.name}[") and name.endswith("]"):
            return name.removeprefix(f"{self.name}[").removesuffix("]")
        return None


def parse_query(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values of the given parameters by attribute. Raises ValidationFailed with all errors by
    parameter name."""
    parser = _QueryParser(parameters)
    for name, value in _split_query(request.query_string):
        parser.add(name, value)
    return parser.get_values()


def refuse_query_parameters() -> None:
    """For endpoints without query parameters. Raises ValidationFailed if there are any, so that no
    caller assumes that one has an effect."""
    if request.query_string and request.args:
        raise ValidationFailed(details={"query": ["This endpoint takes no query parameters."]})


class _QueryParser:
    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = {
            parameter.name: parameter
            for parameter in parameters
            if not isinstance(parameter, MapParameter)
        }
        self._map_parameters = [
            parameter for parameter in parameters if isinstance(parameter, MapParameter)
        ]
        self._values: dict[str, Any] = {}
        self._sets: dict[str, set[Any]] = {}
        self._maps: dict[str, dict[str, str]] = {}
        self._errors: dict[str, list[str]] = {}

    def add(self, name: str, value: bytes) -> None:
        try:
            self._add(name, _decode(value))
        except InvalidParameter as error:
            if len(self._errors) < MAX_REPORTED_ERRORS:
                self._errors.setdefault(name[:MAX_REPORTED_NAME], []).append(str(error))

    def get_values(self) -> dict[str, Any]:
        if self._errors:
            raise ValidationFailed(details=self._errors)
        sets = {name: frozenset(values) for name, values in self._sets.items()}
        maps = {name: tuple(sorted(pairs.items())) for name, pairs in self._maps.items()}
        return {**self._values, **sets, **maps}

    def _add(self, name: str, text: str) -> None:
        parameter = self._parameters.get(name)
        if parameter is None:
            self._add_pair(name, text)
        elif parameter.is_repeatable:
            self._add_to_set(parameter, text)
        elif parameter.attribute in self._values:
            raise InvalidParameter("Must be given once only.")
        else:
            # Set before parsing, so that a repetition is reported even if this value is invalid.
            self._values[parameter.attribute] = None
            self._values[parameter.attribute] = parameter.parse(text)

    def _add_to_set(self, parameter: Parameter, text: str) -> None:
        values = self._sets.setdefault(parameter.attribute, set())
        for part in text.split(parameter.separator) if parameter.separator else [text]:
            value = parameter.parse(part)
            if parameter.separator and value in values:
                raise InvalidParameter("Each value must be given once only.")
            values.add(value)

    def _add_pair(self, name: str, text: str) -> None:
        for parameter in self._map_parameters:
            key = parameter.find_key(name)
            if key is not None:
                break
        else:
            raise InvalidParameter(self._describe_unknown_parameter())
        pairs = self._maps.setdefault(parameter.attribute, {})
        key = parameter.parse_key(key)
        if key in pairs:
            raise InvalidParameter("Must be given once only.")
        if len(pairs) >= parameter.max_pairs:
            raise InvalidParameter(
                f"At most {parameter.max_pairs} pairs of {parameter.name} are allowed."
            )
        pairs[key] = parameter.parse(text)

    def _describe_unknown_parameter(self) -> str:
        names = sorted(self._parameters)
        names += [f"{parameter.name}[KEY]" for parameter in self._map_parameters]
        return f"Unknown parameter. This endpoint takes {', '.join(names)}."


def _split_query(query: bytes) -> Sequence[tuple[str, bytes]]:
    """Decoded names with their raw values, in order. Raises ValidationFailed for a name that cannot
    be decoded, and for API keys, which the error details would echo as names."""
    decoded = unquote_to_bytes(query.replace(b"+", b" ")).decode("utf-8", "replace")
    if contains_secret(decoded):
        raise ValidationFailed(
            "The query contains an API key or a session token. Send it in the Authorization header"
            " only."
        )
    pairs: list[tuple[str, bytes]] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if not part:
            continue
        try:
            pairs.append((_decode(name), value))
        except InvalidParameter as error:
            raise ValidationFailed(details={"query": [f"A parameter name: {error}"]}) from error
    return pairs


def _decode(raw: bytes) -> str:
    if not _PERCENT_ENCODED.fullmatch(raw):
        raise InvalidParameter("Must be percent-encoded.")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameter("Must be percent-encoded UTF-8.") from error
    if "\0" in text:
        raise InvalidParameter("Must not contain U+0000.")
    return text
