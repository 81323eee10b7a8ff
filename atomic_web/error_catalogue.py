"""Every error that the API can answer with, by its code."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from atomic_core.domain.errors import AtomicError, Conflict, StorageRefused
from atomic_web.errors import ERROR_PAGES, STATUS, InternalError

_INTERNAL: Final = frozenset({AtomicError, Conflict, StorageRefused})
"""No response has them: Conflict is the base of the errors of its type and an error of commands,
and the others become InternalError."""


def _collect_errors(base: type[AtomicError]) -> Iterator[type[AtomicError]]:
    yield base
    for error in base.__subclasses__():
        yield from _collect_errors(error)


def _group_by_code() -> Mapping[str, Sequence[type[AtomicError]]]:
    errors: dict[str, list[type[AtomicError]]] = {}
    for error in _collect_errors(AtomicError):
        is_of_the_api = error.__module__ in (AtomicError.__module__, InternalError.__module__)
        if is_of_the_api and error not in _INTERNAL:
            errors.setdefault(error.code, []).append(error)
    return errors


ERRORS_BY_CODE: Final = _group_by_code()
"""Several errors of one code differ in their messages only."""


def render_error_page(code: str) -> str:
    """Markdown that is readable as it is. Raises KeyError for an unknown code."""
    errors = ERRORS_BY_CODE[code]
    first = errors[0]
    retry = (
        "yes: send the same request again, with the same Idempotency-Key, after Retry-After seconds"
        if first.retryable
        else "no: change the request first"
    )
    return "\n".join(
        [
            f"# {code}\n",
            *(f"{error().message}\n" for error in errors),
            f"- HTTP status: {STATUS[first.type]}",
            f"- Type: {first.type}",
            f"- What to change: {first.param or 'see message and details'}",
            f"- Retry: {retry}",
            f"- Other codes: {', '.join(f'{ERROR_PAGES}/{other}' for other in _list_others(code))}",
            "",
        ]
    )


def _list_others(code: str) -> Sequence[str]:
    """Of the same type."""
    type = ERRORS_BY_CODE[code][0].type
    return [
        other
        for other, errors in sorted(ERRORS_BY_CODE.items())
        if errors[0].type == type and other != code
    ]
