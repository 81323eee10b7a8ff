"""Does an answer keep to the OpenAPI document? Stricter than the document: no member, header or
status may be there that it does not name."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from atomic_web.context import BASE_PATH
from atomic_web.openapi.document import build

DOCUMENT = "urn:openapi"
FRAMING = {"Content-Type", "Content-Length"}
"""OpenAPI tells these by other means than headers."""

_contracts: dict[Any, "Contract"] = {}


def contract_of(app: Flask, settings: Any) -> "Contract":
    """One for all doors that promise the same."""
    key = (settings.currencies, settings.cors_origins != (), settings.is_production)
    if key not in _contracts:
        _contracts[key] = Contract(build(app, settings))
    return _contracts[key]


def pointer(*steps: str) -> str:
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def closed(content: Any) -> Any:
    """The document with every object shut that it leaves open to later additions."""
    if isinstance(content, list):
        return [closed(member) for member in content]
    if not isinstance(content, dict):
        return content
    shut = {name: closed(member) for name, member in content.items()}
    if shut.get("type") == "object" and "properties" in shut and "additionalProperties" not in shut:
        shut["unevaluatedProperties"] = False
    return shut


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
        """Method and path template that a request meets, if both are documented. A path that is
        named in full goes before one with a parameter."""
        for template, item in sorted(self.document["paths"].items(), key=lambda it: "{" in it[0]):
            fixed = re.split(r"{\w+}", BASE_PATH + template)
            # An Idempotency-Key may hold slashes.
            hole = "(?s:.+)" if "{key}" in template else "[^/]+"
            if re.fullmatch(hole.join(map(re.escape, fixed)), path):
                return (method, template) if method.lower() in item else None
        return None

    def check(self, method: str, path: str, response: TestResponse) -> tuple[str, str] | None:
        """Raises AssertionError unless it conforms; return which operation answered."""
        asked = self.operation(method, path)
        if asked is None:
            told, where = self._unrouted(response.status_code)
        else:
            where = ("paths", asked[1], asked[0].lower(), "responses", str(response.status_code))
            told, where = self._resolved(where)
        self._check_headers(told, response)
        if "content" not in told or method == "HEAD":
            assert response.data == b"", "a body that is not documented"
        else:
            media = str(response.mimetype)
            assert media in told["content"], media
            schema = pointer(*where, "content", media, "schema")
            self.validator(schema).validate(response.get_json())
        return asked

    def validator(self, pointed: str) -> Draft202012Validator:
        if pointed not in self._validators:
            schema = {"$ref": DOCUMENT + pointed}
            self._validators[pointed] = Draft202012Validator(schema, registry=self._registry)
        return self._validators[pointed]

    @cached_property
    def _registry(self) -> Registry:
        resource = Resource(closed(self.document), DRAFT202012)
        return Registry().with_resource(DOCUMENT, resource)

    def _check_headers(self, told: dict[str, Any], response: TestResponse) -> None:
        promised = told.get("headers", {})
        answered = dict(response.headers)
        surplus = answered.keys() - FRAMING - promised.keys()
        assert not surplus, f"headers that are not documented: {surplus}"
        for name in promised:
            header = self.document["components"]["headers"].get(name, {})
            if "$ref" not in promised[name]:
                header = promised[name]
            if name not in answered:
                assert not header["required"], f"{name} is missing"
                continue
            value: Any = answered[name]
            if header["schema"]["type"] == "integer":
                value = int(value)
            Draft202012Validator(header["schema"]).validate(value)

    def _resolved(self, where: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        told: Any = self.document
        for step in where:
            assert step in told, f"not documented: {where}"
            told = told[step]
        if "$ref" in told:
            return self._resolved(tuple(told["$ref"].removeprefix("#/").split("/")))
        return told, where

    def _unrouted(self, status: int) -> tuple[dict[str, Any], tuple[str, ...]]:
        names = {404: "NotFound", 405: "MethodNotAllowed", 429: "TooManyRequests"}
        names |= {400: "BadRequest", 500: "InternalError"}
        assert status in names, f"an address that is not documented answered {status}"
        return self._resolved(("components", "responses", names[status]))
