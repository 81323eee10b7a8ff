"""Builds the OpenAPI document from the application's routes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from apispec import APISpec
from flask import Flask
from marshmallow import Schema

from atomic_adapters.settings import Settings
from atomic_web.access.authentication import AccessPolicy, get_access_policy
from atomic_web.access.idempotency import IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED
from atomic_web.context import BASE_PATH
from atomic_web.http.query import MapParameter, Parameter
from atomic_web.http.request_id import REQUEST_ID
from atomic_web.http.security_headers import build_security_headers
from atomic_web.openapi import error_responses, headers, texts
from atomic_web.openapi.error_responses import RATE_LIMIT_HEADERS, ErrorResponse
from atomic_web.openapi.operation import Operation, Success, get_operation
from atomic_web.openapi.schemas import (
    OWN_SCHEMAS,
    Plugin,
    build_envelope,
    build_success_content,
    get_envelope_name,
)
from atomic_web.schemas.enumerations import ENUMERATIONS, build_enabled_currency

JsonObject = dict[str, Any]

VERSION: Final = "3.1.0"

ALIASES: Final = frozenset({"/", "/docs", BASE_PATH})
"""Routes that answer like another one. Not in the document: they are not below its server, the base
path."""

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
        self._plugin = Plugin(settings)
        self._spec = APISpec(
            title=texts.TITLE,
            version=version("atomic"),
            openapi_version=VERSION,
            plugins=[self._plugin],
            info={
                "description": texts.DESCRIPTION,
                "license": texts.LICENCE,
                "contact": texts.CONTACT,
            },
            servers=[{"url": BASE_PATH}],
            tags=[{"name": name, "description": text} for name, text in texts.TAGS.items()],
        )

    def build(self) -> JsonObject:
        self._add_components()
        paths: dict[str, dict[str, JsonObject]] = {}
        for path, method, operation, policy in self._iterate_routes():
            operations = paths.setdefault(path, {})
            operations[method] = self._build_operation(path, operation, policy)
        for path, operations in paths.items():
            self._spec.path(path=path, operations=operations)
        return self._spec.to_dict()

    def _iterate_routes(self) -> Iterator[tuple[str, str, Operation, AccessPolicy]]:
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions[rule.endpoint]
            operation, policy = get_operation(view), get_access_policy(view)
            if operation is None or policy is None:
                raise LookupError(f"{rule.rule} declares no operation or no access policy")
            if rule.rule in ALIASES:
                continue
            path = _ARGUMENT.sub(r"{\1}", rule.rule.removeprefix(BASE_PATH))
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), operation, policy

    def _add_components(self) -> None:
        components = self._spec.components
        for name, scheme in texts.SECURITY_SCHEMES.items():
            components.security_scheme(name, dict(scheme))
        enabled_currency = build_enabled_currency(self._settings.currencies)
        for enumeration in dict.fromkeys((*ENUMERATIONS, enabled_currency)):
            components.schema(enumeration.name, enumeration.build_schema())
        for name, schema in OWN_SCHEMAS.items():
            components.schema(name, schema)
        for data in self._collect_response_schemas():
            envelope = build_envelope(self._plugin.refer_to(data))
            components.schema(get_envelope_name(data), envelope)
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

    def _collect_response_schemas(self) -> Iterable[Schema]:
        """One of each kind: several views have an instance of their own."""
        schemas = (
            success.data
            for _, _, operation, _ in self._iterate_routes()
            for success in operation.responses
        )
        return {get_envelope_name(data): data for data in schemas if data is not None}.values()

    def _build_operation(self, path: str, operation: Operation, policy: AccessPolicy) -> JsonObject:
        content: JsonObject = {
            "operationId": operation.id,
            "summary": operation.summary,
            "description": _describe(operation, policy),
            "tags": [_choose_tag(path)],
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
        if success.data is not None:
            media_type = build_success_content(success.data, success.examples)
            response["content"] = {"application/json": media_type}
        elif success.media_types:
            response["content"] = dict(success.media_types)
        if success.links:
            response["links"] = dict(success.links)
        return response


def _choose_tag(path: str) -> str:
    """Of what the path ends in: a payment's refunds are refunds."""
    names = (name for name in reversed(path.split("/")) if name in texts.TAGS)
    return next(names, texts.OTHER)


def _describe(operation: Operation, policy: AccessPolicy) -> str:
    """The description, with the scope that is required: OpenAPI lists scopes for OAuth only."""
    if not policy.scopes:
        return operation.description
    scopes = " or ".join(f"`{scope.value}`" for scope in policy.scopes)
    return f"{operation.description} Requires the scope {scopes}."


def _component_name(parameter: Parameter) -> str:
    return parameter.component or parameter.name


def _build_query_parameter(parameter: Parameter) -> JsonObject:
    return {
        "name": parameter.name,
        "description": parameter.description,
        "schema": dict(parameter.schema),
        "example": parameter.example,
        "style": "deepObject" if isinstance(parameter, MapParameter) else "form",
        # Each value of an array, and each member of an object, is a parameter of its own.
        "explode": True,
    }


def _build_security(policy: AccessPolicy) -> list[JsonObject]:
    if policy.is_session_required:
        return [{texts.SESSION: []}]
    return [{texts.API_KEY: []}] if policy.scopes else []


def _is_rate_limited(policy: AccessPolicy) -> bool:
    return policy.has_global_limit or policy.rate_limit is not None


def _collect_error_responses(operation: Operation, policy: AccessPolicy) -> Sequence[ErrorResponse]:
    """Those of the operation, and those that its policy, body and headers imply. Raises ValueError
    if two have the same status."""
    implied = [*error_responses.COMMON]
    if _is_rate_limited(policy):
        implied.append(error_responses.TOO_MANY_REQUESTS)
    if not policy.is_public:
        session, api_key = error_responses.SESSION_UNAUTHORIZED, error_responses.UNAUTHORIZED
        implied.append(session if policy.is_session_required else api_key)
        implied.append(error_responses.SERVICE_UNAVAILABLE)
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
