"""GET /: links to the documentation, the OpenAPI document and the health check."""

from importlib.metadata import version
from typing import Final, NamedTuple

from flask import Blueprint, Response, current_app

from atomic_web.access.authentication import public
from atomic_web.access.rate_limiting import SERVICE_LIMIT
from atomic_web.context import BASE_PATH
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.openapi.texts import TITLE
from atomic_web.schemas.service_info import ServiceInfoSchema
from atomic_web.views.openapi import accepts_html

views = Blueprint("index", __name__)

_response_schema: Final = ServiceInfoSchema()


class _Links(NamedTuple):
    docs: str = f"{BASE_PATH}/docs"
    openapi: str = f"{BASE_PATH}/openapi.json"
    health: str = f"{BASE_PATH}/health"


class _ServiceInfo(NamedTuple):
    name: str
    version: str
    links: _Links


_SERVICE_INFO: Final = _ServiceInfo(TITLE, version("atomic"), _Links())

SHOW: Final = Operation(
    id="getServiceInfo",
    summary="Find the documentation",
    description=f"`{BASE_PATH}` and `/` on the same host answer the same.",
    responses=(
        Success(
            status=200,
            description="The name and version of the API, and links.",
            data=_response_schema,
            examples={"links": _SERVICE_INFO},
        ),
        Success(
            status=303,
            description="To a browser, which accepts text/html: the documentation.",
            constant_headers=(("Location", _SERVICE_INFO.links.docs),),
        ),
    ),
)


# Both spellings of the base path, because no client knows beforehand which one is right.
@views.get("")
@views.get("/")
@describe_operation(SHOW)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
def show() -> Response:
    refuse_query_parameters()
    if accepts_html():
        location = {"Location": _SERVICE_INFO.links.docs}
        return current_app.response_class(status=303, headers=location)
    return ok_response(_response_schema.dump(_SERVICE_INFO))
