"""GET /openapi.json and /docs: the OpenAPI document of this API, a reference made of it, and a page
for each error code."""

import hashlib
from dataclasses import dataclass
from typing import Final

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from atomic_adapters.settings import Settings
from atomic_core.domain.errors import NotFound
from atomic_web.access.authentication import public
from atomic_web.access.rate_limiting import SERVICE_LIMIT
from atomic_web.context import request_context
from atomic_web.error_catalogue import ERRORS_BY_CODE, render_error_page
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import JSON, json_response
from atomic_web.http.security_headers import build_security_headers
from atomic_web.openapi.document import build
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.html_reference import CONTENT_SECURITY_POLICY, render_html_reference
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.openapi.reference import render_reference
from atomic_web.openapi.texts import TITLE
from atomic_web.schemas.enumerations import ERROR_CODE

views = Blueprint("openapi", __name__)

CACHE_CONTROL: Final = ("Cache-Control", "public, max-age=300")
"""The document is public, and changes with a release only."""

HTML: Final = "text/html"

ANY_ORIGIN: Final = ("Access-Control-Allow-Origin", "*")
"""The document is public: tools in browsers may read it, whatever CORS_ORIGIN is."""

REFERENCE_HEADERS: Final = (
    ("Vary", "Accept"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
)
"""In place of those of other responses. Any origin may read the reference, so it does not vary with
Origin."""

_EXTENSION: Final = "atomic_openapi"


@dataclass(frozen=True, slots=True)
class _Document:
    body: bytes
    reference: str
    html_reference: str
    etag: str
    security_headers: tuple[tuple[str, str], ...]


SHOW: Final = Operation(
    id="getOpenApi",
    summary="Get the OpenAPI document",
    description="Generated from the code that answers the requests.",
    parameters=("If-None-Match",),
    responses=(
        Success(
            status=200,
            description="The OpenAPI 3.1 document.",
            media_types={
                JSON: {
                    "schema": {"$ref": "#/components/schemas/OpenApiDocument"},
                    "examples": {
                        "abridged": {
                            "value": {
                                "openapi": "3.1.0",
                                "info": {"title": TITLE, "version": "0.1.0"},
                                "paths": {},
                                "components": {},
                            }
                        }
                    },
                }
            },
            headers=("ETag",),
            constant_headers=(CACHE_CONTROL, ANY_ORIGIN),
        ),
        Success(
            status=304,
            description="The cached copy is current.",
            headers=("ETag",),
            constant_headers=(CACHE_CONTROL, ANY_ORIGIN),
        ),
    ),
)


SHOW_REFERENCE: Final = Operation(
    id="getDocs",
    summary="Read the documentation",
    description="A reference of the API, made from the OpenAPI document. `/docs` on the same host "
    "answers the same.",
    responses=(
        Success(
            status=200,
            description="A page for a browser, which accepts text/html; Markdown for others.",
            media_types={
                "text/plain": {
                    "schema": {"type": "string", "minLength": 1},
                    "examples": {"abridged": {"value": "# Atomic 0.1.0"}},
                },
                HTML: {
                    "schema": {"type": "string", "minLength": 1},
                    "examples": {"abridged": {"value": "<!doctype html>…"}},
                },
            },
            constant_headers=(CACHE_CONTROL, ANY_ORIGIN, *REFERENCE_HEADERS),
        ),
    ),
)


SHOW_ERROR: Final = Operation(
    id="getErrorPage",
    summary="Read the page of an error code",
    description="The `docUrl` of an error leads here.",
    path={
        "code": {
            "name": "code",
            "in": "path",
            "required": True,
            "description": "The code of an error.",
            "schema": ERROR_CODE.reference,
            "example": "amount_exceeds_held",
        }
    },
    responses=(
        Success(
            status=200,
            description="Markdown, sent as text so that a browser shows it.",
            media_types={
                "text/plain": {
                    "schema": {"type": "string", "minLength": 1},
                    "examples": {"abridged": {"value": "# amount_exceeds_held"}},
                }
            },
            constant_headers=(CACHE_CONTROL,),
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.get("/openapi.json")
@describe_operation(SHOW)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
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
    _allow_any_origin(response)
    return response


@views.get("/docs")
@describe_operation(SHOW_REFERENCE)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
def show_reference() -> Response:
    refuse_query_parameters()
    context = request_context()
    document = _get_document(current_app, context.settings)
    context.security_headers = tuple(dict((*document.security_headers, *REFERENCE_HEADERS)).items())
    if accepts_html():
        response = current_app.response_class(document.html_reference, 200, mimetype=HTML)
    else:
        response = current_app.response_class(document.reference, 200, mimetype="text/plain")
    _allow_any_origin(response)
    return response


def accepts_html() -> bool:
    """Whether the client is a browser: it prefers HTML to JSON and text."""
    return request.accept_mimetypes.best_match((JSON, "text/plain", HTML)) == HTML


def _allow_any_origin(response: Response) -> None:
    name, value = ANY_ORIGIN
    response.headers[name] = value


@views.get("/docs/errors/<code>")
@describe_operation(SHOW_ERROR)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
def show_error(code: str) -> Response:
    refuse_query_parameters()
    if code not in ERRORS_BY_CODE:
        raise NotFound("No error has this code.")
    context = request_context()
    context.security_headers = build_cacheable_headers(context.settings)
    return current_app.response_class(render_error_page(code), 200, mimetype="text/plain")


def build_cacheable_headers(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The headers of every response, except that this one is cacheable."""
    name, _ = CACHE_CONTROL
    others = (header for header in build_security_headers(settings) if header[0] != name)
    return (CACHE_CONTROL, *others)


def _get_document(app: Flask, settings: Settings) -> _Document:
    """Built at the first request, because most processes never serve one."""
    document = app.extensions.get(_EXTENSION)
    if document is None:
        content = build(app, settings)
        body = orjson.dumps(content)
        etag = hashlib.sha256(body).hexdigest()[:32]
        reference = render_reference(content)
        html = render_html_reference(content)
        document = _Document(body, reference, html, etag, build_cacheable_headers(settings))
        app.extensions[_EXTENSION] = document
    return document
