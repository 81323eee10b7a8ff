"""Checks responses against the OpenAPI document. Stricter than the document: it allows no member,
header or status that is not documented."""

import json
import re
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any
from urllib.parse import quote

from flask import Flask
from jsonschema_rs import Draft202012Validator, Registry
from werkzeug.test import TestResponse

from atomic_web.context import BASE_PATH
from atomic_web.openapi import headers as openapi_headers
from atomic_web.openapi.document import ALIASES, build
from atomic_web.openapi.error_responses import METHOD_NOT_ALLOWED

DOCUMENT = "urn:openapi"
FRAMING = {"Content-Type", "Content-Length"}
"""OpenAPI does not describe these as headers."""

_contracts: dict[Any, "Contract"] = {}


def get_contract(app: Flask, settings: Any) -> "Contract":
    """Cached, because web apps with the same relevant settings have the same document."""
    key = (settings.currencies, settings.cors_origins != (), settings.is_production)
    if key not in _contracts:
        _contracts[key] = Contract(build(app, settings))
    return _contracts[key]


def pointer(*steps: str) -> str:
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def forbid_additions(schema: Any) -> Any:
    """The schema without additional properties in any object."""
    if isinstance(schema, list):
        return [forbid_additions(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: forbid_additions(member) for name, member in schema.items()}
    is_open = "properties" in strict and "additionalProperties" not in strict
    if strict.get("type") == "object" and is_open:
        strict["unevaluatedProperties"] = False
    return strict


class Contract:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[str, Draft202012Validator] = {}

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path and Operation Object."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield method.upper(), path, operation

    def operation(self, method: str, path: str) -> tuple[str, str] | None:
        """The method and path template of a request, if they are documented. A literal path takes
        precedence over one with a parameter. HEAD is GET without the body."""
        method = "GET" if method == "HEAD" else method
        path = _resolve_alias(path)
        for template, pattern in self._patterns:
            if pattern.fullmatch(path):
                is_documented = method.lower() in self.document["paths"][template]
                return (method, template) if is_documented else None
        return None

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        """Each path template and the paths that match it, literal ones first."""
        patterns: list[tuple[str, re.Pattern[str]]] = []
        for template in sorted(self.document["paths"], key=lambda template: "{" in template):
            literals = re.split(r"{\w+}", BASE_PATH + template)
            # An Idempotency-Key may contain slashes.
            parameter = "(?s:.+)" if "{key}" in template else "[^/]+"
            patterns.append((template, re.compile(parameter.join(map(re.escape, literals)))))
        return patterns

    def check(self, method: str, path: str, response: TestResponse) -> tuple[str, str] | None:
        """Return the operation of the response. Raises AssertionError unless it conforms."""
        operation = self.operation(method, path)
        if method == "OPTIONS" and response.status_code == 200:
            documented, location = self._find_options_response(path), ()
        elif operation is None:
            documented, location = self._find_unrouted_response(response.status_code)
        else:
            documented_method, template = operation
            documented, location = self._resolve(
                (
                    *("paths", template, documented_method.lower()),
                    *("responses", str(response.status_code)),
                )
            )
        self._check_headers(documented, response)
        if "content" not in documented or method == "HEAD":
            assert response.data == b"", "a body that is not documented"
        else:
            media_type = str(response.mimetype)
            assert media_type in documented["content"], media_type
            is_json = media_type == "application/json"
            body: Any = response.get_json() if is_json else response.text
            schema = documented["content"][media_type]["schema"]
            if "$ref" in schema:
                self.validator(schema["$ref"]).validate(body)
            else:
                self.validator(pointer(*location, "content", media_type, "schema")).validate(body)
            if is_json and "error" in body:
                # One example per code.
                assert body["error"]["code"] in documented["content"][media_type]["examples"]
        return operation

    def validator(self, schema_pointer: str) -> Draft202012Validator:
        if schema_pointer not in self._validators:
            # A URI has no braces, which paths with parameters have.
            reference = DOCUMENT + quote(schema_pointer, safe="#/~")
            self._validators[schema_pointer] = Draft202012Validator(
                {"$ref": reference}, registry=self._registry
            )
        return self._validators[schema_pointer]

    @cached_property
    def _registry(self) -> Registry:
        return Registry([(DOCUMENT, forbid_additions(self.document))])

    @cached_property
    def _headers(self) -> dict[str, Any]:
        components = self.document["components"]["headers"]
        return {**components, **openapi_headers.build_options_headers()}

    def _check_headers(self, documented: dict[str, Any], response: TestResponse) -> None:
        documented_headers = documented.get("headers", {})
        headers = dict(response.headers)
        undocumented = headers.keys() - FRAMING - documented_headers.keys()
        assert not undocumented, f"headers that are not documented: {undocumented}"
        for name, reference in documented_headers.items():
            header = reference
            if "$ref" in reference:
                header = self._headers[name]
            if name not in headers:
                assert not header["required"], f"{name} is missing"
                continue
            value: Any = headers[name]
            if header["schema"]["type"] == "integer":
                value = int(value)
            _build_header_validator(json.dumps(header["schema"])).validate(value)

    def _resolve(self, location: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        documented: Any = self.document
        for step in location:
            assert step in documented, f"not documented: {location}"
            documented = documented[step]
        if "$ref" in documented:
            return self._resolve(tuple(documented["$ref"].removeprefix("#/").split("/")))
        return documented, location

    def _find_unrouted_response(self, status: int) -> tuple[dict[str, Any], tuple[str, ...]]:
        if status == 405:
            return self._build_method_not_allowed(), ()
        names = {404: "NotFound", 429: "TooManyRequests"}
        names |= {400: "BadRequest", 500: "InternalError"}
        assert status in names, f"a URL that is not documented answered {status}"
        return self._resolve(("components", "responses", names[status]))

    def _get_common_headers(self) -> dict[str, Any]:
        """Those of every response: the liveness probe has no others."""
        return self.document["paths"]["/health/live"]["get"]["responses"]["200"]["headers"]

    def _build_method_not_allowed(self) -> dict[str, Any]:
        response = METHOD_NOT_ALLOWED.build_response()
        references = openapi_headers.build_references(response["headers"])
        return response | {"headers": self._get_common_headers() | references}

    def _find_options_response(self, path: str) -> dict[str, Any]:
        """OPTIONS is answered for every documented path, without a body."""
        methods = ("GET", "POST", "DELETE")
        assert any(self.operation(method, path) for method in methods), path
        references = openapi_headers.build_references(openapi_headers.build_options_headers())
        return {"headers": self._get_common_headers() | references}


@cache
def _build_header_validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))


def _resolve_alias(path: str) -> str:
    """The path within the base path that answers the same."""
    if path not in ALIASES:
        return path
    return f"{BASE_PATH}/{path.removeprefix(BASE_PATH).removeprefix('/')}"
