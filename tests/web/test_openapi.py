"""The OpenAPI document is complete and valid, and responses conform to it. ConformanceClient checks
every response of the other tests in this folder as well."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apispec import APISpec
from flask import Flask
from jsonschema_rs import validate as fits
from marshmallow import fields

from atomic_adapters.wiring import in_memory
from atomic_core.domain.currencies import CURRENCIES
from atomic_web.access.authentication import public
from atomic_web.app import create_app
from atomic_web.context import BASE_PATH
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.errors import STATUS
from atomic_web.openapi.document import ALIASES, build
from atomic_web.openapi.error_responses import METHOD_NOT_ALLOWED
from atomic_web.openapi.schemas import Plugin
from atomic_web.schemas.fields import RequestSchema
from web.conformance import Contract, forbid_additions, pointer
from web.web_client import BATCH, PAYMENTS, MerchantClient, WebApp, settings

PATH = f"{BASE_PATH}/openapi.json"
UNKNOWN = "01999999-0000-7000-8000-000000000000"


def validate(document: Any) -> None:
    # Imported here, because every test process reads this file.
    from openapi_spec_validator import validate

    validate(document)


def test_document_is_valid_openapi(web: WebApp) -> None:
    document = web.client.get(PATH).get_json()
    assert document["openapi"] == "3.1.0"
    validate(document)


@pytest.mark.parametrize(
    "variables",
    [
        {"ATOMIC_ENV": "production"},
        {"CORS_ORIGIN": "https://shop.example"},
        {"CURRENCIES": "JPY", "RATE_LIMIT_GLOBAL": "off"},
    ],
)
def test_document_is_valid_with_any_settings(web: WebApp, variables: dict[str, str]) -> None:
    validate(web.with_settings(**variables).client.get(PATH).get_json())


def test_document_contains_exactly_the_routes_and_methods(web: WebApp, contract: Contract) -> None:
    """Without HEAD and OPTIONS, which every route answers, and without aliases."""
    routed = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in web.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in ALIASES
    }
    documented = {(method, BASE_PATH + path) for method, path, _ in contract.operations()}
    assert documented == routed
    assert len(documented) > 20, "the document must not be empty"


def test_route_without_an_operation_raises_lookup_error() -> None:
    @public()
    def view() -> str:
        return "in"

    app: Flask = create_app(in_memory(), settings())
    app.add_url_rule(f"{BASE_PATH}/backdoor", "backdoor", view)
    with pytest.raises(LookupError, match="backdoor"):
        build(app, settings())


def test_validator_without_json_schema_raises_lookup_error() -> None:
    def silent(text: str) -> None: ...

    class SilentSchema(RequestSchema):
        name = fields.String(validate=silent)

    spec = APISpec("", "", "3.1.0", plugins=[Plugin(settings())])
    with pytest.raises(LookupError, match="silent"):
        spec.components.schema("Silent", schema=SilentSchema)


def test_every_error_code_is_documented_with_its_status(contract: Contract) -> None:
    statuses: dict[str, Any] = {}
    for _, _, operation in contract.operations():
        for status, response in operation["responses"].items():
            if "$ref" in response:
                name = response["$ref"].rsplit("/", 1)[1]
                statuses |= dict.fromkeys(get_codes(contract, name), status)
    statuses |= {error.code: "" for error in METHOD_NOT_ALLOWED.errors}
    assert statuses.keys() == ERRORS_BY_CODE.keys()
    for code, status in statuses.items():
        for error in ERRORS_BY_CODE[code]:
            assert not status or STATUS[error.type] == int(status)


def get_codes(contract: Contract, response: str) -> list[str]:
    """A response has one example per code."""
    media = contract.document["components"]["responses"][response]["content"]["application/json"]
    schema = "RateLimitedResponse" if response == "TooManyRequests" else "ErrorResponse"
    assert media["schema"] == {"$ref": f"#/components/schemas/{schema}"}
    codes = [example["value"]["error"]["code"] for example in media["examples"].values()]
    assert codes == list(media["examples"])
    return codes


def iterate_media_types(content: Any, *steps: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(content, dict):
        for name, member in content.items():
            if name == "application/json":
                yield pointer(*steps, name, "schema"), member
            else:
                yield from iterate_media_types(member, *steps, name)


def test_every_body_has_examples_that_match_its_schema(contract: Contract) -> None:
    seen = 0
    for schema, media in iterate_media_types(contract.document):
        assert media["examples"], schema
        for example in media["examples"].values():
            contract.validator(schema).validate(example["value"])
            seen += 1
    assert seen > 25


def test_header_and_parameter_examples_match_their_schemas(contract: Contract) -> None:
    components = contract.document["components"]
    for component in components["headers"].values():
        fits(component["schema"], component["example"])
    for name, component in components["parameters"].items():
        schema = pointer("components", "parameters", name, "schema")
        contract.validator(schema).validate(component["example"])


def test_document_states_the_rules_of_request_fields(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]
    payment = schemas["NewPayment"]["properties"]
    assert payment["amount"].items() >= {"minimum": 1, "maximum": 2**53 - 1}.items()
    assert payment["currency"] == {"$ref": "#/components/schemas/Currency"}
    assert schemas["Currency"]["enum"] == list(CURRENCIES)
    assert payment["source"]["pattern"] == "^(?:tok|pm)_[A-Za-z0-9_]{1,60}$"
    assert payment["description"].items() >= {"minLength": 1, "maxLength": 500}.items()
    assert schemas["NewPayment"]["required"] == ["amount", "currency", "source"]
    for name in ("NewPayment", "NewAccount", "PaymentBatch", "PaymentBatchItem"):
        assert schemas[name]["additionalProperties"] is False


def test_document_lists_the_configured_currencies(web: WebApp) -> None:
    """For requests. Lists and responses may have any currency, because they were enabled once."""
    document = web.with_settings(CURRENCIES="JPY,KWD").client.get(PATH).get_json()
    schemas = document["components"]["schemas"]
    assert schemas["EnabledCurrency"]["enum"] == ["JPY", "KWD"]
    for name in ("NewAccount", "NewPayment", "PaymentBatchItem"):
        assert schemas[name]["properties"]["currency"] == {
            "$ref": "#/components/schemas/EnabledCurrency"
        }
    assert schemas["Account"]["properties"]["currency"] == {"$ref": "#/components/schemas/Currency"}
    assert "EnabledCurrency" not in web.client.get(PATH).get_json()["components"]["schemas"]


def test_document_is_cacheable_and_has_an_etag(web: WebApp) -> None:
    first = web.client.get(PATH)
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers.getlist("Cache-Control") == ["public, max-age=300"]
    again = web.client.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert web.client.get(PATH, headers={"If-None-Match": '"other"'}).data == first.data
    other = web.with_settings(CURRENCIES="JPY").client.get(PATH)
    assert other.headers["ETag"] != first.headers["ETag"]
    refused = web.client.get(f"{PATH}?x=1")
    assert (refused.status_code, refused.headers["Cache-Control"]) == (400, "no-store")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answer: answer.headers.add("X-Other", "1"), "X-Other"),
        (lambda answer: answer.headers.remove("Location"), "Location"),
        (lambda answer: answer.headers.set("Cache-Control", "public"), "public"),
        (lambda answer: setattr(answer, "status_code", 418), "418"),
        (lambda answer: change_data(answer, amount=0), "0"),
        (lambda answer: change_data(answer, other=1), "other"),
        (lambda answer: change_data(answer, id="A" * 36), "A"),
        (lambda answer: answer.headers.set("Content-Type", "text/html"), "text/html"),
    ],
)
def test_contract_detects_a_nonconforming_response(
    merchant: MerchantClient, contract: Contract, change: Callable[[Any], None], message: str
) -> None:
    answer = merchant.pay()
    contract.check("POST", PAYMENTS, answer)
    change(answer)
    with pytest.raises(Exception, match=message):
        contract.check("POST", PAYMENTS, answer)


def change_data(answer: Any, **members: object) -> None:
    body = answer.get_json()
    body["data"] |= members
    answer.set_data(json.dumps(body))


def test_contract_accepts_only_errors_from_undocumented_urls(contract: Contract) -> None:
    assert contract.operation("GET", BATCH) is None
    assert contract.operation("POST", BATCH) == ("POST", "/payments/batch")
    assert contract.operation("GET", f"{PAYMENTS}/x") == ("GET", "/payments/{id}")
    with pytest.raises(AssertionError, match="200"):
        contract._find_unrouted_response(200)


def test_response_schemas_allow_additions_except_in_tests(contract: Contract) -> None:
    payment = contract.document["components"]["schemas"]["Payment"]
    assert "additionalProperties" not in payment
    assert forbid_additions(payment)["unevaluatedProperties"] is False
