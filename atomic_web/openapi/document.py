"""The document: from every route there is. Raises LookupError for one that is not documented."""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from apispec import APISpec
from flask import Flask

from atomic_adapters.settings import Settings
from atomic_web.access.authentication import Access, access_of
from atomic_web.access.idempotency import HEADER, REPLAYED
from atomic_web.context import BASE_PATH
from atomic_web.http.query import Parameter
from atomic_web.http.request_id import REQUEST_ID
from atomic_web.http.security_headers import headers_for_all
from atomic_web.openapi import error_responses, headers, texts
from atomic_web.openapi.error_responses import COUNTED, Refusal
from atomic_web.openapi.operation import Operation, Success, operation_of
from atomic_web.openapi.schemas import ENVELOPE, Plugin, enveloped

JsonObject = dict[str, Any]

VERSION: Final = "3.1.0"

_ARGUMENT: Final = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")


def build(app: Flask, settings: Settings) -> JsonObject:
    """OpenAPI 3.1, for this application as it is configured."""
    return _Builder(app, settings).build()


class _Builder:
    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._standing = headers_for_all(settings)
        self._on_all = (
            REQUEST_ID,
            *(headers.CORS if settings.cors_origins else ()),
            *(name for name, _ in self._standing),
        )
        self._spec = APISpec(
            title=texts.TITLE,
            version=version("atomic"),
            openapi_version=VERSION,
            plugins=[Plugin(settings)],
            info={"description": texts.DESCRIPTION, "license": texts.LICENCE},
            servers=[{"url": BASE_PATH}],
            tags=[{"name": name, "description": told} for name, told in texts.TAGS.items()],
        )

    def build(self) -> JsonObject:
        self._add_components()
        paths: dict[str, dict[str, JsonObject]] = {}
        for path, method, operation, access in self._routes():
            told = paths.setdefault(path, {})
            told[method] = self._operation(path, operation, access)
            if method == "get":
                told["head"] = self._head(told["get"])
        for path, told in paths.items():
            told["options"] = self._options(path)
            self._spec.path(path=path, operations=told)
        return self._spec.to_dict()

    def _routes(self) -> Iterator[tuple[str, str, Operation, Access]]:
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions[rule.endpoint]
            operation, access = operation_of(view), access_of(view)
            if operation is None or access is None:
                raise LookupError(f"{rule.rule} is not @documented, or says not who may call it")
            path = _ARGUMENT.sub(r"{\1}", rule.rule.removeprefix(BASE_PATH))
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), operation, access

    def _add_components(self) -> None:
        components = self._spec.components
        for name, scheme in texts.SECURITY_SCHEMES.items():
            components.security_scheme(name, dict(scheme))
        for name, schema in ENVELOPE.items():
            components.schema(name, schema)
        for name, header in headers.header_components(self._settings, self._standing).items():
            components.header(name, header)
        for name, parameter in headers.PARAMETERS.items():
            components.parameter(name, parameter["in"], parameter)
        asked = {_component(each): each for _, _, told, _ in self._routes() for each in told.query}
        for name, parameter in asked.items():
            components.parameter(name, "query", _query_parameter(parameter))
        for refusal in error_responses.REFUSALS:
            told = refusal.as_response()
            told["headers"] = headers.refer([*self._on_all, *told["headers"]])
            components.response(refusal.name, told)

    def _operation(self, path: str, operation: Operation, access: Access) -> JsonObject:
        tag = path.split("/")[1]
        told: JsonObject = {
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [tag if tag in texts.TAGS else texts.OTHER],
            "security": _security(access),
            "parameters": [
                *(operation.path.get(name) or headers.path_id(name) for name in _arguments(path)),
                *(_component(each) for each in operation.query),
                *(*operation.parameters, REQUEST_ID),
            ],
            "responses": {
                **{
                    str(answer.status): self._answer(answer, operation, access)
                    for answer in operation.answers
                },
                **_refer(_implied(operation, access)),
            },
        }
        if operation.description:
            told["description"] = operation.description
        if operation.body is not None:
            examples = {name: {"value": value} for name, value in operation.requests.items()}
            media = {"schema": operation.body, "examples": examples}
            told["requestBody"] = {
                "required": operation.body_required,
                "content": {"application/json": media},
            }
        return told

    def _answer(self, answer: Success, operation: Operation, access: Access) -> JsonObject:
        names = [*self._on_all, *answer.headers]
        if _is_counted(access):
            names += COUNTED
        if HEADER in operation.parameters:
            names.append(REPLAYED)
        told: JsonObject = {"description": answer.description, "headers": headers.refer(names)}
        told["headers"] |= headers.fixed(answer.standing)
        if media := enveloped(answer) or answer.media:
            told["content"] = {"application/json": media}
        if answer.links:
            told["links"] = dict(answer.links)
        return told

    def _head(self, get: JsonObject) -> JsonObject:
        """As GET, without bodies; so its refusals cannot be the shared ones."""
        by_name = {refusal.name: refusal for refusal in error_responses.REFUSALS}
        responses: JsonObject = {}
        for status, response in get["responses"].items():
            if "$ref" in response:
                told = by_name[response["$ref"].rsplit("/", 1)[1]].as_response()
                names = [*self._on_all, *told["headers"]]
                response = told | {"headers": headers.refer(names)}  # noqa: PLW2901
            responses[status] = {key: response[key] for key in ("description", "headers")}
        kept = {key: get[key] for key in ("tags", "security", "parameters")}
        return {"summary": f"{get['summary']}: headers only", **kept, "responses": responses}

    def _options(self, path: str) -> JsonObject:
        preflight = headers.PREFLIGHT if self._settings.cors_origins else ()
        names = [*self._on_all, "Allow", *preflight]
        return {
            "summary": "The methods of this address; a browser's preflight",
            "tags": [texts.OTHER],
            "security": [],
            # It is not asked whether there is such a thing, nor whether this can be an id.
            "parameters": [*(headers.any_id(name) for name in _arguments(path)), REQUEST_ID],
            "responses": {
                "200": {"description": "Without a body.", "headers": headers.refer(names)},
                **_refer(error_responses.ANYWHERE),
            },
        }


def _component(parameter: Parameter) -> str:
    return parameter.component or parameter.name


def _query_parameter(parameter: Parameter) -> JsonObject:
    told = {
        "name": parameter.name,
        "description": parameter.description,
        "schema": dict(parameter.schema),
        "example": parameter.example,
    }
    # Each value, or each member of an object, is a parameter of its own.
    return told | {"style": "form", "explode": True}


def _security(access: Access) -> list[JsonObject]:
    if access.session:
        return [{texts.SESSION: []}]
    return [{texts.API_KEY: [access.scope.value]}] if access.scope else []


def _is_counted(access: Access) -> bool:
    return access.limited or access.limit is not None


def _implied(operation: Operation, access: Access) -> Sequence[Refusal]:
    """Every refusal of the operation. Raises ValueError if two would share a status."""
    told = [*error_responses.ANYWHERE]
    if _is_counted(access):
        told.append(error_responses.TOO_MANY)
    if access.authenticated:
        told += [error_responses.UNAUTHORIZED, error_responses.UNAVAILABLE]
    if access.scope is not None:
        told.append(error_responses.FORBIDDEN)
    if operation.body is not None:
        told += [error_responses.PAYLOAD_TOO_LARGE, error_responses.UNSUPPORTED_MEDIA_TYPE]
    if HEADER in operation.parameters:
        told += [error_responses.CONFLICT, error_responses.KEY_REUSED]
    # What an operation says itself stands instead of what is implied.
    own = {refusal.status for refusal in operation.refusals}
    told = [each for each in told if each.status not in own] + list(operation.refusals)
    if len({refusal.status for refusal in told}) != len(told):
        raise ValueError(f"{operation.id} refuses twice with one status")
    return sorted(told, key=lambda refusal: refusal.status)


def _refer(told: Iterable[Refusal]) -> JsonObject:
    return {str(each.status): {"$ref": f"#/components/responses/{each.name}"} for each in told}


def _arguments(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)
