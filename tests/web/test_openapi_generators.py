"""From the OpenAPI document generators write clients that read like hand-written ones, and linters
find nothing to report. `make openapi-lint` runs the linters; these tests need no Node.js."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.schemas.enumerations import ENUMERATIONS, FAILURE_REASON
from docs.test_docs import failure_reasons
from web.conformance import Contract
from web.web_client import WebApp

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(contract: Contract) -> dict[str, Any]:
    return contract.document


def walk(value: Any, *steps: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each object with the steps that lead to it, without examples."""
    if isinstance(value, list):
        for index, member in enumerate(value):
            yield from walk(member, *steps, str(index))
    elif isinstance(value, dict):
        yield steps, value
        for name, member in value.items():
            if name not in ("example", "examples"):
                yield from walk(member, *steps, name)


def walk_schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each schema that is not a component itself, with its place."""
    components = document["components"]["schemas"]
    for name, component in components.items():
        for steps, value in walk(component):
            is_map_of_schemas = steps[-1:] == ("properties",)
            if steps and not is_map_of_schemas:
                yield f"{name}/{'/'.join(steps)}", value
    for steps, value in walk({**document, "components": {**document["components"], "schemas": {}}}):
        if "schema" in steps:
            yield "/".join(steps), value


def list_operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for item in document["paths"].values() for operation in item.values()]


def test_document_has_neither_head_nor_options(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        assert item.keys() <= METHODS, path


def test_every_operation_is_named_and_described(document: dict[str, Any]) -> None:
    operations = list_operations(document)
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for operation in operations:
        assert re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)+", operation["operationId"])
        assert operation["summary"]
        assert operation["description"].endswith(".")
        assert set(operation["tags"]) < tags.keys()
    assert all(tags.values())
    assert document["info"].keys() >= {"title", "version", "description", "license", "contact"}


def test_security_requirements_name_schemes_without_scopes(document: dict[str, Any]) -> None:
    """OpenAPI defines scopes for OAuth 2 only; the description names the one that is required."""
    schemes = document["components"]["securitySchemes"].keys()
    used = set()
    for operation in list_operations(document):
        for requirement in operation["security"]:
            assert list(requirement.values()) == [[]]
            used |= requirement.keys()
            needs_scope = "apiKey" in requirement
            assert ("Requires the scope `" in operation["description"]) == needs_scope
    assert used == schemes


def test_every_json_body_is_a_named_component(document: dict[str, Any]) -> None:
    bodies = [
        (steps, value["schema"])
        for steps, value in walk(document)
        if steps[-1:] == ("application/json",)
    ]
    assert len(bodies) > 40
    for steps, schema in bodies:
        assert schema.keys() == {"$ref"}, steps


def test_envelopes_are_named_after_their_data(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    envelopes = {name for name, schema in schemas.items() if "meta" in schema.get("properties", {})}
    assert envelopes >= {"PaymentResponse", "RefundResponse", "AccountResponse", "ErrorResponse"}
    for name in envelopes - {"ErrorResponse", "RateLimitedResponse"}:
        data = schemas[name]["properties"]["data"]
        reference = data["items"] if data.get("type") == "array" else data
        suffix = "ListResponse" if data.get("type") == "array" else "Response"
        assert f"{reference['$ref'].rsplit('/', 1)[1]}{suffix}" == name


def test_enumerations_and_objects_are_named_components(document: dict[str, Any]) -> None:
    """An anonymous one would become a type of its own for each place it occurs in."""
    for place, schema in walk_schemas(document):
        assert "enum" not in schema, place
        assert "properties" not in schema, place


@pytest.mark.parametrize(
    "name", ["Currency", "PaymentStatus", "RefundStatus", "ErrorCode", "FailureReason"]
)
def test_enumeration_is_one_component(document: dict[str, Any], name: str) -> None:
    schemas = document["components"]["schemas"]
    values = schemas[name]["enum"]
    assert [each for each, schema in schemas.items() if schema.get("enum") == values] == [name]


def test_enumerations_have_the_values_of_the_code(document: dict[str, Any]) -> None:
    for enumeration in ENUMERATIONS:
        schema = document["components"]["schemas"][enumeration.name]
        assert schema["enum"] == list(dict.fromkeys(enumeration.values))
        assert schema["type"] == "string"
        assert schema["description"]
    assert set(FAILURE_REASON.values) == failure_reasons()
    assert document["components"]["schemas"]["ErrorCode"]["enum"] == sorted(ERRORS_BY_CODE)


@pytest.mark.parametrize(
    "variables", [{}, {"CORS_ORIGIN": "https://shop.example"}, {"CURRENCIES": "JPY"}]
)
def test_every_component_is_used(web: WebApp, variables: dict[str, str]) -> None:
    client = web.with_settings(**variables).client
    document = client.get("/api/v1/openapi.json").get_json()
    references = {
        value["$ref"] for _, value in walk(document) if isinstance(value.get("$ref"), str)
    }
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in document["components"].items()
        for name in named
        if kind != "securitySchemes"
    }
    assert components == references


def test_component_names_are_nouns_in_camel_case(document: dict[str, Any]) -> None:
    names = document["components"]["schemas"].keys()
    assert [name for name in names if not re.fullmatch(r"(?:[A-Z][a-z]+)+", name)] == []
    assert [
        name for name in names if re.search(r"\d$|Schema$|Envelope|Asked|Told|Kept", name)
    ] == []


def test_no_schema_has_a_default(document: dict[str, Any]) -> None:
    """Some generators make a member with a default required. Its text says the default."""
    for place, schema in walk_schemas(document):
        assert "default" not in schema, place
    description = document["components"]["schemas"]["NewPayment"]["properties"]["description"]
    assert description["description"] == "Default: `API Payment`."
    assert "Default: 20." in document["components"]["parameters"]["limit"]["description"]


def test_required_members_are_defined(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys(), name


def test_pages_and_links_are_described(document: dict[str, Any]) -> None:
    assert "`nextCursor`" in document["info"]["description"]
    parameters = document["components"]["parameters"]
    assert parameters["metadata"]["style"] == "deepObject"
    assert parameters["expand"]["schema"]["type"] == "array"
