"""Request bodies: strict JSON.

Python's parser accepts more than JSON (NaN, 1e400, repeated member names), and text that PostgreSQL
refuses (NUL, lone surrogates). All of that is refused here with 400.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

from flask import Request
from flask.globals import request_ctx
from gunicorn.http.errors import ParseException

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import contains_secret
from atomic_web.context import request_context
from atomic_web.errors import MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from atomic_web.http.responses import JSON

MAX_NESTING: Final = 16
"""No body of this API nests deeper than a few levels."""

MAX_VALUES: Final = 20_000
"""Twice the values of a full batch. Parsing and checking the 700,000 values that fit into the size
limit would block the process for a second."""

MAX_STRINGS: Final = 2 * MAX_VALUES + 1
"""Each value has at most one name."""

MAX_DIGITS: Final = 40
"""More than any field allows, so that a number which is merely too large gets its field's error."""

_CREDENTIAL_IN_BODY: Final = (
    "The body contains an API key or a session token. Send it in the Authorization header only."
)

_NESTED_TOO_DEEPLY: Final = f"The body must be nested at most {MAX_NESTING} levels deep."
_TOO_MANY_VALUES: Final = f"The body must have at most {MAX_VALUES} values."
_NUMBER_OUT_OF_RANGE: Final = (
    f"Numbers must be within the range of a double and have at most {MAX_DIGITS} digits."
)
_INCOMPLETE_BODY: Final = "The body must have as many bytes as Content-Length announces."
_EMPTY_BODY: Final = "The body is empty; send a JSON object."

BYTE_ORDER_MARK: Final = "\ufeff"
"""RFC 8259 forbids to send it and lets a parser decide. It is refused, as all that is not JSON, but
by name: editors and some libraries add it unseen."""

_HAS_BYTE_ORDER_MARK: Final = (
    "The body contains a UTF-8 byte order mark (the bytes EF BB BF) outside of a string; send it"
    " without the mark."
)

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def read_optional_json_object() -> dict[str, Any]:
    """Like read_json_object, but an empty body is an empty object, whatever its Content-Type: many
    clients send one with every POST, and others none without a body."""
    request = request_ctx.request
    raw = _read(request, request_context().settings.body_limit)
    if not raw:
        return {}
    _check_media_type(request)
    return _parse_object(raw)


def read_json_object(limit: int | None = None) -> dict[str, Any]:
    """The body as a JSON object of at most `limit` bytes (by default Settings.body_limit).

    Raises UnsupportedMediaType; PayloadTooLarge; MalformedRequest if the body is not JSON;
    ValidationFailed if it is JSON that the API does not accept.
    """
    # Resolved once: each use of Flask's `request` proxy is a look-up.
    request = request_ctx.request
    _check_media_type(request)
    return _parse_object(_read(request, limit or request_context().settings.body_limit))


def read_json_bytes(limit: int) -> bytes:
    """A body of type JSON as it was sent, of at most `limit` bytes: its signature covers the bytes.
    Raises what read_json_object raises for a body that is not read to its end."""
    request = request_ctx.request
    _check_media_type(request)
    return _read(request, limit)


def _parse_object(raw: bytes) -> dict[str, Any]:
    text = _decode(raw)
    if contains_secret(text):
        raise ValidationFailed(_CREDENTIAL_IN_BODY)
    _limit_values(text)
    value = _parse(text)
    _check(value, has_escapes="\\u" in text)
    if not isinstance(value, dict):
        raise ValidationFailed("The body must be a JSON object.")
    return value


def _check_media_type(request: Request) -> None:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if request.content_type == JSON and encoding == "identity":
        return  # the usual spelling needs no parsing
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != JSON or charset != "utf-8" or encoding != "identity":
        raise UnsupportedMediaType


def _read(request: Request, limit: int) -> bytes:
    # Werkzeug cuts a chunked body off at max_content_length silently. One byte more makes a body
    # that is too large detectable.
    request.max_content_length = limit + 1
    length = request.content_length
    if length is None and request.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        # A body in another transfer coding would still be encoded after the chunks are joined.
        raise MalformedRequest("Transfer-Encoding must be chunked, or absent with Content-Length.")
    if length is not None and length > limit:
        raise _build_size_error(limit)
    try:
        # Not cached: only the parsed value is used. A body of known length is read without
        # Werkzeug's limiting stream.
        raw = (
            request.get_data(cache=False)
            if length is None
            else request.environ["wsgi.input"].read(length)
        )
    except ParseException as error:
        # gunicorn raises it for an invalid chunk.
        raise MalformedRequest("The body must be encoded in valid chunks.") from error
    except OSError as error:
        # The client reset the connection.
        raise MalformedRequest(_INCOMPLETE_BODY) from error
    if len(raw) > limit:
        raise _build_size_error(limit)
    if length not in (None, len(raw)):
        raise MalformedRequest(_INCOMPLETE_BODY)
    return raw


def _build_size_error(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body must have at most {limit} bytes.")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest("The body must be UTF-8.") from error


def _limit_values(text: str) -> None:
    """Refuse a body that, if it is JSON, has more than MAX_VALUES values, before it is parsed: the
    parser calls Python for each object and number, and lets no other request run meanwhile.
    Counting takes a few milliseconds per megabyte.

    With n values JSON has, outside of strings, fewer than n commas and at most n + 1 opening
    brackets; it has at most 2 n + 1 strings. `_check` counts the values exactly.
    """
    # Most bodies have few of them even with those inside of strings.
    if text.count(",") < MAX_VALUES and text.count("{") + text.count("[") <= MAX_VALUES:
        return
    # Pairs of backslashes first: what then is before a quote escapes it.
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    if unescaped.count('"') > 2 * MAX_STRINGS:
        raise MalformedRequest(_TOO_MANY_VALUES)
    outside_strings = "".join(unescaped.split('"')[::2])
    brackets = outside_strings.count("{") + outside_strings.count("[")
    if outside_strings.count(",") >= MAX_VALUES or brackets > MAX_VALUES + 1:
        raise MalformedRequest(_TOO_MANY_VALUES)


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise MalformedRequest(_NESTED_TOO_DEEPLY) from error
    except json.JSONDecodeError as error:
        raise MalformedRequest(_describe_syntax_error(text, error)) from error


def _describe_syntax_error(text: str, error: json.JSONDecodeError) -> str:
    """Where the error is, but not what is there: it may be confidential."""
    if not text.strip():
        return _EMPTY_BODY
    if text.startswith(BYTE_ORDER_MARK, error.pos):
        return _HAS_BYTE_ORDER_MARK
    return (
        f"The body must be JSON. The first error is at line {error.lineno}, column {error.colno}."
    )


def _refuse_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedRequest("The member names of a JSON object must be unique.")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedRequest("NaN and Infinity are not valid JSON.")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedRequest(_NUMBER_OUT_OF_RANGE)
    return number


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise MalformedRequest(_NUMBER_OUT_OF_RANGE)
    return int(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_repeated_names,
    parse_constant=_refuse_constant,
    parse_float=_parse_float,
    parse_int=_parse_int,
)


def _check(content: Any, *, has_escapes: bool) -> None:
    """Check the depth, the number of values and, if the text `has_escapes`, the strings: without
    escapes JSON can express neither NUL nor a lone surrogate. Iterative, because the caller chooses
    the depth and some Python versions parse very deep nesting."""
    pending: list[tuple[int, Any]] = [(1, content)]
    value_count = 0
    while pending:
        depth, value = pending.pop()
        if isinstance(value, str):
            if has_escapes and _UNSTORABLE.search(value):
                raise ValidationFailed("Text must contain neither U+0000 nor lone surrogates.")
            if has_escapes and contains_secret(value):
                raise ValidationFailed(_CREDENTIAL_IN_BODY)
        elif isinstance(value, dict | list):
            if depth > MAX_NESTING:
                raise MalformedRequest(_NESTED_TOO_DEEPLY)
            value_count += len(value)
            if value_count > MAX_VALUES:
                raise MalformedRequest(_TOO_MANY_VALUES)
            members = value.values() if isinstance(value, dict) else value
            if has_escapes:
                if isinstance(value, dict):
                    pending.extend((depth + 1, name) for name in value)
                pending.extend((depth + 1, member) for member in members)
            else:
                containers = [member for member in members if isinstance(member, dict | list)]
                pending.extend((depth + 1, container) for container in containers)
