"""Builds the OpenAPI document from the application's routes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from apispec import APISpec
from flask import Flask

from atomic_adapters.settings import Settings
from atomic_web.access.authentication import AccessPolicy, get_access_policy
from atomic_web.access.idempotency import IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED
from atomic_web.context import BASE_PATH
from atomic_web.http.query import Parameter
from atomic_web.http.request_id import REQUEST_ID
from atomic_web.http.security_headers import build_security_headers
from atomic_web.openapi import error_responses, headers, texts
from atomic_web.openapi.error_responses import RATE_LIMIT_HEADERS, ErrorResponse
from atomic_web.openapi.operation import Operation, Success, get_operation
from atomic_web.openapi.schemas import ENVELOPE_SCHEMAS, Plugin, build_success_content

JsonObject = dict[str, Any]

VERSION: Final = "3.1.0"

_ARGUMENT: Final = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")


def build(app: Flask, settings: Settings) -> JsonObject:
    """The document of this application as configured. Raises LookupError for a route without an
    operation or an access policy."""
    return _DocumentBuilder(app, settings).build()


class _DocumentBuilder:
    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._security_headers = build_security_headers(settings)
        self._common_header_names = (
            REQUEST_ID,
            *(headers.CORS if settings.cors_origins else ()),
            *(name for name, _ in self._security_headers),
        )
        self._spec = APISpec(
            title=texts.TITLE,
            version=version("atomic"),
            openapi_version=VERSION,
            plugins=[Plugin(settings)],
            info={"description": texts.DESCRIPTION, "license": texts.LICENCE},
            servers=[{"url": BASE_PATH}],
            tags=[{"name": name, "description": text} for name, text in texts.TAGS.items()],
        )

    def build(self) -> JsonObject:
        self._add_components()
        paths: dict[str, dict[str, JsonObject]] = {}
        for path, method, operation, policy in self._iterate_routes():
            operations = paths.setdefault(path, {})
            operations[method] = self._build_operation(path, operation, policy)
            if method == "get":
                operations["head"] = self._build_head(operations["get"])
        for path, operations in paths.items():
            operations["options"] = self._build_options(path)
            self._spec.path(path=path, operations=operations)
        return self._spec.to_dict()

    def _iterate_routes(self) -> Iterator[tuple[str, str, Operation, AccessPolicy]]:
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions[rule.endpoint]
            operation, policy = get_operation(view), get_access_policy(view)
            if operation is None or policy is None:
                raise LookupError(f"{rule.rule} declares no operation or no access policy")
            path = _ARGUMENT.sub(r"{\1}", rule.rule.removeprefix(BASE_PATH))
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), operation, policy

    def _add_components(self) -> None:
        components = self._spec.components
        for name, scheme in texts.SECURITY_SCHEMES.items():
            components.security_scheme(name, dict(scheme))
        for name, schema in ENVELOPE_SCHEMAS.items():
            components.schema(name, schema)
        header_components = headers.build_components(self._settings, self._security_headers)
        for name, header in header_components.items():
            components.header(name, header)
        for name, parameter in headers.PARAMETERS.items():
            components.parameter(name, parameter["in"], parameter)
        query_parameters = {
            _component_name(parameter): parameter
            for _, _, operation, _ in self._iterate_routes()
            for parameter in operation.query
        }
        for name, parameter in query_parameters.items():
            components.parameter(name, "query", _build_query_parameter(parameter))
        for error_response in error_responses.ALL:
            response = error_response.build_response()
            response["headers"] = headers.build_references(
                [*self._common_header_names, *response["headers"]]
            )
            components.response(error_response.name, response)

    def _build_operation(self, path: str, operation: Operation, policy: AccessPolicy) -> JsonObject:
        tag = path.split("/")[1]
        content: JsonObject = {
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [tag if tag in texts.TAGS else texts.OTHER],
            "security": _build_security(policy),
            "parameters": [
                *(
                    operation.path.get(name) or headers.build_id_parameter(name)
                    for name in _path_arguments(path)
                ),
                *(_component_name(parameter) for parameter in operation.query),
                *(*operation.parameters, REQUEST_ID),
            ],
            "responses": {
                **{
                    str(success.status): self._build_success(success, operation, policy)
                    for success in operation.responses
                },
                **_refer_to(_collect_error_responses(operation, policy)),
            },
        }
        if operation.description:
            content["description"] = operation.description
        if operation.body is not None:
            examples = {name: {"value": value} for name, value in operation.body_examples.items()}
            media_type = {"schema": operation.body, "examples": examples}
            content["requestBody"] = {
                "required": operation.is_body_required,
                "content": {"application/json": media_type},
            }
        return content

    def _build_success(
        self, success: Success, operation: Operation, policy: AccessPolicy
    ) -> JsonObject:
        header_names = [*self._common_header_names, *success.headers]
        if _is_rate_limited(policy):
            header_names += RATE_LIMIT_HEADERS
        if IDEMPOTENCY_KEY in operation.parameters:
            header_names.append(IDEMPOTENT_REPLAYED)
        response: JsonObject = {
            "description": success.description,
            "headers": headers.build_references(header_names)
            | headers.build_constant_headers(success.constant_headers),
        }
        if media_type := build_success_content(success) or success.media_type:
            response["content"] = {"application/json": media_type}
        if success.links:
            response["links"] = dict(success.links)
        return response

    def _build_head(self, get: JsonObject) -> JsonObject:
        """GET without bodies. The shared error responses have bodies, so they are inlined."""
        by_name = {response.name: response for response in error_responses.ALL}
        responses: JsonObject = {}
        for status, response in get["responses"].items():
            if "$ref" in response:
                resolved = by_name[response["$ref"].rsplit("/", 1)[1]].build_response()
                header_names = [*self._common_header_names, *resolved["headers"]]
                resolved["headers"] = headers.build_references(header_names)
            else:
                resolved = response
            responses[status] = {key: resolved[key] for key in ("description", "headers")}
        shared = {key: get[key] for key in ("tags", "security", "parameters")}
        return {"summary": f"{get['summary']}: headers only", **shared, "responses": responses}

    def _build_options(self, path: str) -> JsonObject:
        preflight = headers.PREFLIGHT if self._settings.cors_origins else ()
        header_names = [*self._common_header_names, *RATE_LIMIT_HEADERS, "Allow", *preflight]
        return {
            "summary": "List the allowed methods, or answer a CORS preflight",
            "tags": [texts.OTHER],
            "security": [],
            # OPTIONS neither validates the id nor looks the resource up.
            "parameters": [
                *(headers.build_any_parameter(name) for name in _path_arguments(path)),
                REQUEST_ID,
            ],
            "responses": {
                "200": {
                    "description": "No body.",
                    "headers": headers.build_references(header_names),
                },
                **_refer_to((*error_responses.COMMON, error_responses.TOO_MANY_REQUESTS)),
            },
        }


def _component_name(parameter: Parameter) -> str:
    return parameter.component or parameter.name


def _build_query_parameter(parameter: Parameter) -> JsonObject:
    return {
        "name": parameter.name,
        "description": parameter.description,
        "schema": dict(parameter.schema),
        "example": parameter.example,
        # Each value of an array, and each member of an object, is a parameter of its own.
        "style": "form",
        "explode": True,
    }


def _build_security(policy: AccessPolicy) -> list[JsonObject]:
    if policy.is_session_required:
        return [{texts.SESSION: []}]
    return [{texts.API_KEY: [scope.value]} for scope in policy.scopes]


def _is_rate_limited(policy: AccessPolicy) -> bool:
    return policy.has_global_limit or policy.rate_limit is not None


def _collect_error_responses(operation: Operation, policy: AccessPolicy) -> Sequence[ErrorResponse]:
    """Those of the operation, and those that its policy, body and headers imply. Raises ValueError
    if two have the same status."""
    implied = [*error_responses.COMMON]
    if _is_rate_limited(policy):
        implied.append(error_responses.TOO_MANY_REQUESTS)
    if not policy.is_public:
        implied += [error_responses.UNAUTHORIZED, error_responses.SERVICE_UNAVAILABLE]
    if policy.scope is not None:
        implied.append(error_responses.FORBIDDEN)
    if operation.body is not None:
        implied += [error_responses.PAYLOAD_TOO_LARGE, error_responses.UNSUPPORTED_MEDIA_TYPE]
    if IDEMPOTENCY_KEY in operation.parameters:
        implied += [error_responses.CONFLICT, error_responses.KEY_REUSED]
    # An operation's own response replaces the implied one of the same status.
    own_statuses = {response.status for response in operation.error_responses}
    responses = [response for response in implied if response.status not in own_statuses]
    responses += operation.error_responses
    if len({response.status for response in responses}) != len(responses):
        raise ValueError(f"{operation.id} has two error responses with the same status")
    return sorted(responses, key=lambda response: response.status)


def _refer_to(responses: Iterable[ErrorResponse]) -> JsonObject:
    return {
        str(response.status): {"$ref": f"#/components/responses/{response.name}"}
        for response in responses
    }


def _path_arguments(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)
