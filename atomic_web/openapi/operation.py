"""What a view declares about its operation. Its route, access policy and schemas tell the rest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from marshmallow import Schema

from atomic_web.http.query import Parameter
from atomic_web.http.security_headers import Headers
from atomic_web.openapi.error_responses import ErrorResponse

V = TypeVar("V", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A successful response."""

    status: int
    description: str
    data: Schema | None = None
    """The schema of the envelope's `data`; None if there is no envelope."""
    media_types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The Media Type Objects of a body without an envelope."""
    examples: Mapping[str, Any] = field(default_factory=dict)
    """Objects for `data`, by the name of the example."""
    headers: Sequence[str] = ()
    """Besides the headers of every response of the route."""
    constant_headers: Headers = ()
    """Replace the headers of the same name that every response carries."""
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    id: str
    summary: str
    description: str
    body: Schema | None = None
    body_examples: Mapping[str, Any] = field(default_factory=dict)
    """By the name of the example."""
    parameters: Sequence[str] = ()
    """Names in headers.PARAMETERS, besides those of every route."""
    query: Sequence[Parameter] = ()
    path: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Parameter Objects of path parameters that are no ids, by name."""
    responses: Sequence[Success]
    error_responses: Sequence[ErrorResponse] = ()
    """Besides those that the access policy and the body imply."""

    @property
    def is_body_required(self) -> bool:
        """Otherwise an empty body means `{}`."""
        fields = self.body.fields.values() if self.body else ()
        return any(field.required for field in fields)


_operations_by_view: Final[dict[Callable[..., Any], Operation]] = {}


def describe_operation(operation: Operation) -> Callable[[V], V]:
    """Declare a view's operation. Must be the first decorator below the route, so that it marks the
    function that the route registers."""

    def register(view: V) -> V:
        _operations_by_view[view] = operation
        return view

    return register


def get_operation(view: Callable[..., Any]) -> Operation | None:
    """None if the view declares none."""
    return _operations_by_view.get(view)
