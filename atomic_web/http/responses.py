"""The envelope around every answer, and the bytes it becomes."""

from typing import TYPE_CHECKING, Any, Final

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from atomic_core.domain.errors import Details
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.timestamps import format_rfc3339
from atomic_web.context import request_context

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON: Final = "application/json"


class JsonResponse(Response):
    """Says JSON unless told otherwise, in the answers that Flask makes by itself too."""

    default_mimetype = JSON

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """As they stand. Werkzeug would copy them and look for what may need mending; what we
        make has its length, and its Location is a path in ASCII."""
        if "Content-Length" in self.headers:
            return self.headers
        return super().get_wsgi_headers(environ)


def envelope(data: object) -> bytes:
    return orjson.dumps({"success": True, "data": data, "meta": _meta()})


def error_envelope(code: str, message: str, details: Details | None = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    return orjson.dumps({"success": False, "error": error, "meta": _meta()})


def ok(data: object) -> Response:
    return json_response(envelope(data), 200)


def json_response(body: bytes, status: int) -> Response:
    return JsonResponse(body, status, mimetype=JSON)


def stored_response(stored: StoredResponse) -> Response:
    response = json_response(stored.body, stored.status)
    if stored.location is not None:
        response.headers["Location"] = stored.location
    return response


def _meta() -> dict[str, str]:
    context = request_context()
    return {
        "timestamp": format_rfc3339(context.app_context.application.clock.now()),
        "requestId": context.request_id,
    }
