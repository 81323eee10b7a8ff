"""GET /openapi.json: the OpenAPI document of this API."""

import hashlib
from dataclasses import dataclass
from typing import Final

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from atomic_adapters.settings import Settings
from atomic_web.access.authentication import public
from atomic_web.context import request_context
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import json_response
from atomic_web.http.security_headers import build_security_headers
from atomic_web.openapi.document import build
from atomic_web.openapi.operation import Operation, Success, describe_operation

views = Blueprint("openapi", __name__, url_prefix="/openapi.json")

CACHE_CONTROL: Final = ("Cache-Control", "public, max-age=300")
"""The document is public, and changes with a release only."""

_EXTENSION: Final = "atomic_openapi"


@dataclass(frozen=True, slots=True)
class _Document:
    body: bytes
    etag: str
    security_headers: tuple[tuple[str, str], ...]
    """The headers of every response, except that this one is cacheable."""


SHOW: Final = Operation(
    id="getOpenApi",
    summary="Get the OpenAPI document",
    parameters=("If-None-Match",),
    responses=(
        Success(
            status=200,
            description="The OpenAPI 3.1 document.",
            media_type={
                "schema": {
                    "type": "object",
                    "required": ["openapi", "info", "paths"],
                    "properties": {"openapi": {"type": "string", "pattern": r"^3\.1\.[0-9]+$"}},
                    "additionalProperties": True,
                },
                "examples": {"abridged": {"value": {"openapi": "3.1.0", "info": {}, "paths": {}}}},
            },
            headers=("ETag",),
            constant_headers=(CACHE_CONTROL,),
        ),
        Success(
            status=304,
            description="The cached copy is current.",
            headers=("ETag",),
            constant_headers=(CACHE_CONTROL,),
        ),
    ),
)


@views.get("")
@describe_operation(SHOW)
@public()
def show() -> Response:
    refuse_query_parameters()
    context = request_context()
    document = _get_document(current_app, context.settings)
    context.security_headers = document.security_headers
    if request.if_none_match.contains_weak(document.etag):
        response = current_app.response_class(status=304)
    else:
        response = json_response(document.body, 200)
    response.headers["ETag"] = f'"{document.etag}"'
    return response


def _get_document(app: Flask, settings: Settings) -> _Document:
    """Built at the first request, because most processes never serve one."""
    document = app.extensions.get(_EXTENSION)
    if document is None:
        body = orjson.dumps(build(app, settings))
        name, _ = CACHE_CONTROL
        others = [header for header in build_security_headers(settings) if header[0] != name]
        etag = hashlib.sha256(body).hexdigest()[:32]
        document = _Document(body, etag, (CACHE_CONTROL, *others))
        app.extensions[_EXTENSION] = document
    return document
