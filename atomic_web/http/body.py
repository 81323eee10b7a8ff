"""Request bodies: strict JSON or nothing.

Python's parser takes more than JSON (NaN, 1e400, repeated keys) and hands on what PostgreSQL
refuses (NUL, lone surrogates). All of that ends here, as a 400.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

from flask import Request
from flask.globals import request_ctx
from gunicorn.http.errors import ParseException

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import holds_a_key
from atomic_web.context import app_context
from atomic_web.errors import MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from atomic_web.http.responses import JSON

MAX_NESTING: Final = 16
"""Nothing in this API nests; what comes deeper than this has no honest purpose."""

MAX_VALUES: Final = 20_000
"""Twice what a whole batch holds. To look at the two thirds of a million that fit into its bytes
kept everybody else in the process waiting for a second."""

MAX_DIGITS: Final = 40
"""Enough that a number that is merely too large for its field is refused by its field."""

_KEY_WITHIN: Final = (
    "The body holds an API key or a session token, which would be kept and shown. It belongs in the"
    " Authorization header and nowhere else."
)

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def read_object_if_any() -> dict[str, Any]:
    """The same, where nothing needs to be said: without a body, and without a word on what it is,
    an empty object."""
    headers = request_ctx.request.headers
    length = headers.get("Content-Length", "0")
    if length == "0" and not ({"Content-Type", "Transfer-Encoding"} & set(headers.keys())):
        return {}
    return read_object()


def read_object(limit: int | None = None) -> dict[str, Any]:
    """The body as a JSON object of at most `limit` bytes, or else the usual limit.

    Raises UnsupportedMediaType, PayloadTooLarge, MalformedRequest for what is not JSON and
    ValidationFailed for JSON that cannot be taken.
    """
    # Flask's own object, asked for once: each use of its proxy is a look-up.
    asked = request_ctx.request
    _check_media_type(asked)
    raw = _read(asked, limit or app_context().settings.body_limit)
    text = _decoded(raw)
    if holds_a_key(text):
        raise ValidationFailed(_KEY_WITHIN)
    value = _parse(text)
    _check(value, escapes="\\u" in text)
    if not isinstance(value, dict):
        raise ValidationFailed("The body must be a JSON object.")
    return value


def _check_media_type(asked: Request) -> None:
    encoding = asked.headers.get("Content-Encoding", "identity").lower()
    if asked.content_type == JSON and encoding == "identity":
        return  # the usual spelling
    charset = asked.mimetype_params.get("charset", "utf-8").lower()
    if asked.mimetype != JSON or charset != "utf-8" or encoding != "identity":
        raise UnsupportedMediaType


def _read(asked: Request, limit: int) -> bytes:
    # One byte more: a chunked body is cut off there without a word, and the byte too many is
    # how we see it.
    asked.max_content_length = limit + 1
    length = asked.content_length
    if length is None and asked.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        # Unpacked from its chunks, it would still be compressed, and read differently elsewhere.
        raise MalformedRequest("The body's framing is none that this API reads.")
    if length is not None and length > limit:
        raise PayloadTooLarge
    try:
        # Not cached: the parsed value is all that anybody needs. What says its length is read
        # without the streams that watch over the rest.
        known = length is not None
        raw = asked.environ["wsgi.input"].read(length) if known else asked.get_data(cache=False)
    except ParseException as error:
        # gunicorn's word for a broken chunk, met while reading.
        raise MalformedRequest("The body's framing is broken.") from error
    except OSError as error:
        # A reset in the midst of it: the client's doing, and no bug of ours.
        raise MalformedRequest("The body ended early.") from error
    if len(raw) > limit:
        raise PayloadTooLarge
    if length not in (None, len(raw)):
        raise MalformedRequest("The body ended early.")
    return raw


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest("The body is not UTF-8.") from error


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise MalformedRequest("The body is nested too deeply.") from error
    except ValueError as error:
        raise MalformedRequest("The body is not JSON.") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedRequest("The body names a member twice.")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedRequest("NaN and Infinity are not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedRequest("A number is out of range.")
    return number


def _bounded(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise MalformedRequest("A number is out of range.")
    return int(text)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_without_repeats,
    parse_constant=_refuse_constant,
    parse_float=_finite,
    parse_int=_bounded,
)


def _check(content: Any, *, escapes: bool) -> None:
    """Depth, number, and texts where there are `escapes`: without any, JSON can spell neither NUL
    nor a lone surrogate. By a list, not by recursion: the caller chooses how deep it goes, and some
    Pythons' parsers go a long way with them."""
    waiting: list[tuple[int, Any]] = [(1, content)]
    looked_at = 0
    while waiting:
        depth, value = waiting.pop()
        if isinstance(value, str):
            if escapes and _UNSTORABLE.search(value):
                raise ValidationFailed("Text may hold neither U+0000 nor lone surrogates.")
            if escapes and holds_a_key(value):
                raise ValidationFailed(_KEY_WITHIN)
        elif isinstance(value, dict | list):
            if depth > MAX_NESTING:
                raise MalformedRequest("The body is nested too deeply.")
            looked_at += len(value)
            if looked_at > MAX_VALUES:
                raise MalformedRequest("The body holds too many values.")
            members = value.values() if isinstance(value, dict) else value
            if escapes:
                if isinstance(value, dict):
                    waiting.extend((depth + 1, name) for name in value)
                waiting.extend((depth + 1, member) for member in members)
            else:
                deeper = [each for each in members if isinstance(each, dict | list)]
                waiting.extend((depth + 1, member) for member in deeper)
