"""Responses: the JSON envelope around every body."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from atomic_core.domain.errors import AtomicError
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.timestamps import format_rfc3339
from atomic_web.context import request_context
from atomic_web.errors import build_error_object

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON: Final = "application/json"

Meta = Mapping[str, str]


class JsonResponse(Response):
    """JSON by default, in the responses that Flask generates itself as well."""

    default_mimetype = JSON

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """Skip Werkzeug's copy and fixes: our responses have their length, and their Location is a
        path in ASCII."""
        if "Content-Length" in self.headers:
            return self.headers
        return super().get_wsgi_headers(environ)


def render_envelope(data: object, meta: Meta | None = None) -> bytes:
    """`meta` is that of the current request, unless another request renders it."""
    return orjson.dumps({"success": True, "data": data, "meta": meta or build_meta()})


def render_error_envelope(error: AtomicError) -> bytes:
    content = {"success": False, "error": build_error_object(error), "meta": build_meta()}
    return orjson.dumps(content)


def ok_response(data: object) -> Response:
    return json_response(render_envelope(data), 200)


def json_response(body: bytes, status: int) -> Response:
    return JsonResponse(body, status, mimetype=JSON)


def render_stored_response(stored: StoredResponse) -> Response:
    response = json_response(stored.body, stored.status)
    if stored.location is not None:
        response.headers["Location"] = stored.location
    return response


def build_meta() -> Meta:
    """The `meta` of the current request's response."""
    context = request_context()
    return {
        "timestamp": format_rfc3339(context.application.clock.now()),
        "requestId": context.request_id,
    }
