"""Query parameters: those that an endpoint names, each in its one spelling, or nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flask import request

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import holds_a_key

MAX_FAULTS: Final = 20
MAX_NAME: Final = 64
"""Faults are told under the caller's own names: how many and how long, we decide."""

_ENCODED: Final = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*")


class Fault(ValueError):
    """What is wrong with a value, in words for the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter: read by our door, told by its document."""

    name: str
    attribute: str
    """Under which name `read_query` returns it."""
    read: Callable[[str], Any]
    """Raises Fault."""
    schema: Mapping[str, Any]
    description: str
    example: Any
    component: str = ""
    """Its name in the document, where it is not the parameter's own."""
    repeatable: bool = False
    """It may be given several times; its value is the set of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs(Parameter):
    """A family of parameters, `NAME.KEY=value`. The key is all that stands behind the first dot,
    further dots included. Its value is the sorted pairs; `read` reads a pair's value."""

    read_key: Callable[[str], str]
    most: int

    @property
    def prefix(self) -> str:
        return f"{self.name}."


def read_query(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values of those parameters that were given. Raises ValidationFailed with every fault,
    each under its parameter's name."""
    reader = _Reader(parameters)
    for name, value in _pairs(request.query_string):
        reader.take(name, value)
    return reader.values()


class _Reader:
    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._plain = {each.name: each for each in parameters if not isinstance(each, Pairs)}
        self._families = [each for each in parameters if isinstance(each, Pairs)]
        self._values: dict[str, Any] = {}
        self._sets: dict[str, set[Any]] = {}
        self._pairs: dict[str, dict[str, str]] = {}
        self._faults: dict[str, list[str]] = {}

    def take(self, name: str, value: bytes) -> None:
        try:
            self._take(name, _text(value))
        except Fault as fault:
            if len(self._faults) < MAX_FAULTS:
                self._faults.setdefault(name[:MAX_NAME], []).append(str(fault))

    def values(self) -> dict[str, Any]:
        if self._faults:
            raise ValidationFailed(details=self._faults)
        sets = {name: frozenset(values) for name, values in self._sets.items()}
        pairs = {name: tuple(sorted(told.items())) for name, told in self._pairs.items()}
        return {**self._values, **sets, **pairs}

    def _take(self, name: str, text: str) -> None:
        parameter = self._plain.get(name)
        if parameter is None:
            self._take_pair(name, text)
        elif parameter.repeatable:
            self._sets.setdefault(parameter.attribute, set()).add(parameter.read(text))
        elif parameter.attribute in self._values:
            raise Fault("Is given more than once.")
        else:
            # Taken even if it turns out faulty: a second one is one too many all the same.
            self._values[parameter.attribute] = None
            self._values[parameter.attribute] = parameter.read(text)

    def _take_pair(self, name: str, text: str) -> None:
        family = next((each for each in self._families if name.startswith(each.prefix)), None)
        if family is None:
            raise Fault("Unknown parameter.")
        told = self._pairs.setdefault(family.attribute, {})
        key = family.read_key(name.removeprefix(family.prefix))
        if key in told:
            raise Fault("Is given more than once.")
        if len(told) >= family.most:
            raise Fault(f"There may be {family.most} of these at most.")
        told[key] = family.read(text)


def _pairs(query: bytes) -> Sequence[tuple[str, bytes]]:
    """Names, decoded, and values, as they came. Raises ValidationFailed for what cannot be read
    and for API keys, which would be told back under their own name."""
    decoded = unquote_to_bytes(query.replace(b"+", b" ")).decode("utf-8", "replace")
    if holds_a_key(decoded):
        raise ValidationFailed(
            "The query holds an API key. A key belongs in the Authorization header and nowhere"
            " else."
        )
    pairs: list[tuple[str, bytes]] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if not part:
            continue
        try:
            pairs.append((_text(name), value))
        except Fault as fault:
            raise ValidationFailed(details={"query": [f"A name: {fault}"]}) from fault
    return pairs


def _text(raw: bytes) -> str:
    if not _ENCODED.fullmatch(raw):
        raise Fault("Must be percent-encoded.")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("Must be UTF-8, percent-encoded.") from error
    if "\0" in text:
        raise Fault("Must not hold U+0000.")
    return text
