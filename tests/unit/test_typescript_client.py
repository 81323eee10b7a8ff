"""The TypeScript client has the objects and errors of the API. `make clients` runs it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_web.app import create_app
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.openapi.document import build

FOLDER = Path(__file__).parents[2] / "clients" / "typescript"
INTERFACE = re.compile(
    r"^export interface (?P<name>\w+) \{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL
)
MEMBER = re.compile(r"^  (?P<name>\w+)(?P<optional>\??): (?P<type>[^;]+);$", re.MULTILINE)
OBJECTS = (
    *("Payment", "NewPayment", "Refund", "NewRefund", "Event"),
    *("WebhookEndpoint", "NewWebhookEndpoint", "IssuedWebhookEndpoint"),
    *("Account", "NewAccount", "AccountUpdate", "PendingAmounts"),
    *("SubtreeBalance", "SubtreeBalances"),
)


def read_interfaces() -> dict[str, Mapping[str, tuple[str, bool]]]:
    """The type of each member, and whether it is required."""
    text = (FOLDER / "src/models.ts").read_text(encoding="utf-8")
    return {
        found["name"]: {
            member["name"]: (member["type"], not member["optional"])
            for member in MEMBER.finditer(found["body"])
        }
        for found in INTERFACE.finditer(text)
    }


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    settings = Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///x"})
    return dict(build(create_app(in_memory(), settings), settings))["components"]["schemas"]


def is_nullable(schema: Mapping[str, Any]) -> bool:
    choices = schema.get("anyOf", ()), schema.get("oneOf", ())
    types = [schema.get("type"), *(each.get("type") for group in choices for each in group)]
    if "$ref" in schema and schema["$ref"].endswith("/Actor"):
        return False
    return any(type == "null" or (isinstance(type, list) and "null" in type) for type in types)


@pytest.mark.parametrize("name", OBJECTS)
def test_interfaces_have_the_members_of_the_document(schemas: dict[str, Any], name: str) -> None:
    members, schema = read_interfaces()[name], schemas[name]
    assert members.keys() == schema["properties"].keys()
    required = {member for member, (_, is_required) in members.items() if is_required}
    assert required == set(schema.get("required", ()))
    nullable = {member for member, (type, _) in members.items() if type.endswith("| null")}
    assert nullable == {
        member for member, property in schema["properties"].items() if is_nullable(property)
    }


def test_statuses_are_those_of_the_document(schemas: dict[str, Any]) -> None:
    text = (FOLDER / "src/models.ts").read_text(encoding="utf-8")
    for name in (
        *("CaptureMethod", "PaymentStatus", "RefundStatus"),
        *("AccountType", "AccountStatus", "NormalSide"),
    ):
        found = re.search(rf"^export type {name} = (.+);$", text, re.MULTILINE)
        assert found
        assert [json.loads(each) for each in found[1].split(" | ")] == schemas[name]["enum"]


def test_every_error_code_has_a_class_under_its_type() -> None:
    text = (FOLDER / "src/errors.ts").read_text(encoding="utf-8")
    parents = dict(re.findall(r"^export class (\w+) extends (\w+) \{\}$", text, re.MULTILINE))
    classes = dict(re.findall(r"^  (\w+): (\w+),$", text, re.MULTILINE))
    for code, (error, *_) in ERRORS_BY_CODE.items():
        parent = "ApiError" if code == error.type else classes[error.type]
        assert parents[classes[code]] == parent


def test_client_has_no_runtime_dependency_and_the_version_of_the_api() -> None:
    package = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    assert "dependencies" not in package
    root = (FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    python = (FOLDER.parent / "python/pyproject.toml").read_text(encoding="utf-8")
    for text in (root, python):
        assert f'\nversion = "{package["version"]}"\n' in text
