"""GET /openapi.json: this API, in the words of OpenAPI."""

import hashlib
from dataclasses import dataclass
from typing import Final

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from atomic_adapters.settings import Settings
from atomic_web.access.authentication import public
from atomic_web.context import app_context, request_context
from atomic_web.http.ids import refuse_query
from atomic_web.http.responses import json_response
from atomic_web.http.security_headers import headers_for_all
from atomic_web.openapi.document import build
from atomic_web.openapi.operation import Operation, Success, documented

views = Blueprint("openapi", __name__, url_prefix="/openapi.json")

CACHE_CONTROL: Final = ("Cache-Control", "public, max-age=300")
"""It holds nothing of anybody's, and changes with a release."""

_KEPT: Final = "atomic_openapi"


@dataclass(frozen=True, slots=True)
class _Document:
    body: bytes
    etag: str
    standing: tuple[tuple[str, str], ...]
    """The headers that every answer carries, but cacheable."""


SHOW: Final = Operation(
    id="getOpenApi",
    summary="This document",
    parameters=("If-None-Match",),
    answers=(
        Success(
            status=200,
            description="OpenAPI 3.1.",
            media={
                "schema": {
                    "type": "object",
                    "required": ["openapi", "info", "paths"],
                    "properties": {"openapi": {"type": "string", "pattern": r"^3\.1\.[0-9]+$"}},
                    "additionalProperties": True,
                },
                "examples": {"abridged": {"value": {"openapi": "3.1.0", "info": {}, "paths": {}}}},
            },
            headers=("ETag",),
            standing=(CACHE_CONTROL,),
        ),
        Success(
            status=304,
            description="The copy at hand still holds.",
            headers=("ETag",),
            standing=(CACHE_CONTROL,),
        ),
    ),
)


@views.get("")
@documented(SHOW)
@public()
def show() -> Response:
    refuse_query()
    document = _document(current_app, app_context().settings)
    request_context().standing = document.standing
    if request.if_none_match.contains_weak(document.etag):
        response = current_app.response_class(status=304)
    else:
        response = json_response(document.body, 200)
    response.headers["ETag"] = f'"{document.etag}"'
    return response


def _document(app: Flask, settings: Settings) -> _Document:
    """Built when it is first asked for: most processes never are."""
    kept = app.extensions.get(_KEPT)
    if kept is None:
        body = orjson.dumps(build(app, settings))
        name, _ = CACHE_CONTROL
        others = [header for header in headers_for_all(settings) if header[0] != name]
        etag = hashlib.sha256(body).hexdigest()[:32]
        kept = app.extensions[_KEPT] = _Document(body, etag, (CACHE_CONTROL, *others))
    return kept
