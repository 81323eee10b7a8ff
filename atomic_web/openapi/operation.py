"""What a view says of itself. All else is seen from its route, its access and its schemas."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from marshmallow import Schema

from atomic_web.http.query import Parameter
from atomic_web.http.security_headers import Headers
from atomic_web.openapi.error_responses import Refusal

V = TypeVar("V", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A success."""

    status: int
    description: str
    data: Schema | None = None
    """What is in the envelope's `data`; None if there is no envelope."""
    media: Mapping[str, Any] | None = None
    """The body, where there is one without an envelope, as a Media Type Object."""
    under: str | None = None
    """The one member of `data` that holds it, where it is wrapped once more."""
    examples: Mapping[str, Any] = field(default_factory=dict)
    """Values of `data`, by a name for each."""
    headers: Sequence[str] = ()
    """Beyond those that every answer of the route carries."""
    standing: Headers = ()
    """Instead of those of the same name that all answers carry."""
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a view does, in words, and what of it cannot be seen otherwise."""

    id: str
    summary: str
    description: str = ""
    body: Schema | None = None
    body_required: bool = True
    requests: Mapping[str, Any] = field(default_factory=dict)
    """Examples of the body, by a name for each."""
    parameters: Sequence[str] = ()
    """Names in parameters.PARAMETERS, beyond those that every route takes."""
    query: Sequence[Parameter] = ()
    path: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What stands in its path and is no id, by name, as Parameter Objects."""
    answers: Sequence[Success]
    refusals: Sequence[Refusal] = ()
    """Beyond those that its access and body imply."""


_documented: Final[dict[Callable[..., Any], Operation]] = {}


def documented(operation: Operation) -> Callable[[V], V]:
    """Say what a view does. Directly under its route, or the route will not find it."""

    def mark(view: V) -> V:
        _documented[view] = operation
        return view

    return mark


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """What the view said; None if it said nothing."""
    return _documented.get(view)
